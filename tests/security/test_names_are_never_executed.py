"""Names of the source and requests to the page are data: no statement, no markup and no path is made of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient
from httpx import Response
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.sql import SQL, Identifier, Literal

from pgsnow.integrations.fastapi.addresses import table_address
from pgsnow.integrations.fastapi.router import status_router
from pgsnow.postgres.sql import text_of
from tests.examples import rounds
from tests.world import MemoryWorld

MARK = "<script>alert(1)</script>"
HOSTILE = (
    'a"; drop table users; --',
    "a'; drop table users; --",
    "$$; drop table users; $$",
    "/* a */ -- b",
    MARK,
    "{{ 7 * 7 }}",
    "%s %(name)s %%",
    "{} {0} {name}",
    "..",
    "\\'; select 1; --",
    "a?b#c&d=e/f",
    "'\"><img src=x onerror=alert(1)>",
    "\u0430\u0441\u0435",
    "select",
)
"""Each is the name of a schema, a table, its key and its columns."""
HTML = "text/html"


def create(world: MemoryWorld, name: str) -> str:
    """A table with this name everywhere; the name of its entry."""
    named = Identifier(name)
    key, value, seen = (Identifier(f"{prefix}{name}") for prefix in ("k ", "v ", "s "))
    table = Identifier(name, name)
    for statement in (
        SQL("create schema {}").format(named),
        SQL("create table {} ({} bigint, {} text default {}, {} timestamptz not null default now())").format(
            table, key, value, Literal(name), seen
        ),
        SQL("alter table {} add constraint {} primary key ({})").format(table, Identifier(f"pk {name}"), key),
        SQL("create index {} on {} ({})").format(Identifier(f"i {name}"), table, seen),
        SQL("insert into {} ({}) select generate_series(1, 3)").format(table, key),
    ):
        world.sql(text_of(statement))
    return text_of(table)


@pytest.fixture
def hostile(memory_world: MemoryWorld) -> MemoryWorld:
    """Tables with hostile names in every mode, after two ticks between which rows changed and were deleted."""
    world = memory_world
    world.sql("insert into users (id, name) values (1, '<script>alert(1)</script>')")
    world.tables = [world.tables[0]]
    for number, name in enumerate(HOSTILE):
        source = create(world, name)
        mode: dict[str, str] = (
            {"watermark_column": f"s {name}"}
            if number % 3 == 0
            else {"mode": "xmin"}
            if number % 3 == 1
            else {"mode": "full"}
        )
        deletes = {} if number % 3 == 2 else {"deletes": "hard"}
        target = f"analytics.t{number}"
        world.tables.append({"source": source, "target": target, "pk": f"k {name}", **mode, **deletes})
    with world.engine() as engine:
        for change in (False, True, False):
            for name in HOSTILE if change else ():
                table, key, value = Identifier(name, name), Identifier(f"k {name}"), Identifier(f"v {name}")
                world.sql(text_of(SQL("delete from {} where {} = 1").format(table, key)))
                world.sql(
                    text_of(
                        SQL("update {} set {} = 'new', {} = now() where {} = 2").format(
                            table, value, Identifier(f"s {name}"), key
                        )
                    )
                )
            world.sql("select pg_stat_force_next_flush()")
            assert [(report.table, report.error) for report in engine.tick().failures] == []
    return world


def let_in() -> None:
    """An application's own login."""


@pytest.fixture
def client(hostile: MemoryWorld) -> Iterator[TestClient]:
    app = FastAPI()
    app.include_router(
        status_router(hostile.config, settings=hostile.settings, dependencies=[Depends(let_in)], actions=True)
    )
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def is_safe(answer: Response) -> None:
    """No server error, no markup of a name, and headers that keep the page out of frames and scripts out of it."""
    assert answer.status_code < 500, answer.text[:500]
    assert answer.headers["x-content-type-options"] == "nosniff"
    if answer.headers.get("content-type", "").startswith(HTML):
        assert "<script>alert" not in answer.text
        assert "<img src=x" not in answer.text
        policy = answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-frame-options"] == "DENY"


def test_names_are_quoted_in_the_source_and_escaped_on_the_page(
    hostile: MemoryWorld, client: TestClient
) -> None:
    """Rows, changes and deletes of tables with such names arrive; nothing that a name says is done. Their pages are
    found by their names, and no request of any text is answered with an error of the server or with markup."""
    hostile.assert_equal()
    assert hostile.sql("select count(*) from users") == [(1,)]
    overview = client.get("/sync/")
    assert overview.status_code == 200
    assert "{{ 7 * 7 }}" in overview.text
    assert ">49<" not in overview.text
    for table in hostile.config.tables:
        page = client.get(f"/sync/{table_address(table.name)}")
        is_safe(page)
        assert page.status_code == 200, table.name
        is_safe(client.get("/sync/api/v1/runs", params={"table": table.name}))
    is_safe(overview)
    is_safe(client.get("/sync/metrics"))
    any_request_is_safe(client)


REQUESTS = (
    "",
    "runs",
    "rejected",
    "api/v1/tables",
    "api/v1/runs",
    "api/v1/events",
    "api/v1/errors",
    "ready",
    "status",
)
PARAMETERS = (
    "q",
    "state",
    "sort",
    "turned",
    "page",
    "table",
    "limit",
    "cursor",
    "strict",
    "before",
    "status",
)
VALUES = st.text(max_size=8) | st.sampled_from((*HOSTILE, "-1", "9" * 30, "0", "\x00", "%00", "NaN"))
HEADERS = (
    "Accept",
    "Accept-Language",
    "Cookie",
    "HX-Request",
    "HX-Current-URL",
    "If-None-Match",
    "Referer",
    "X-Forwarded-Host",
)


def any_request_is_safe(client: TestClient) -> None:
    """Paths, parameters and headers of any text: never a server error, never markup."""

    @settings(max_examples=rounds(60), deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(
        st.sampled_from(REQUESTS) | VALUES.map(lambda text: table_address(text or "x")),
        st.dictionaries(st.sampled_from(PARAMETERS), VALUES, max_size=3),
        st.dictionaries(
            st.sampled_from(HEADERS),
            st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20),
            max_size=2,
        ),
    )
    def asks(path: str, parameters: dict[str, str], headers: dict[str, str]) -> None:
        is_safe(client.get(f"/sync/{path}", params=parameters, headers=headers))

    asks()
