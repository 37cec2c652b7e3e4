"""The JSON API of the status router over a real ledger, and the actions that it takes."""

from __future__ import annotations

import logging
from base64 import b64encode
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pgsnow.integrations.fastapi.router import status_router
from pgsnow.integrations.fastapi.security import TokenRequired
from pgsnow.ledger.ledger import Ledger
from pgsnow.ledger.requests.requests import RequestAction
from pgsnow.model.batch import Rejected
from pgsnow.model.config.sync_config import SyncConfig, parse_config
from pgsnow.model.report import Status, TableReport
from pgsnow.model.settings.settings import PostgresSettings, Settings

API = "/sync/api/v1"
TABLES = ("public.bad", "public.good", "public.new")
CONFIG: SyncConfig = parse_config(
    {
        "tables": [
            {
                "source": name,
                "target": name.replace("public", "a"),
                "pk": "id",
                "watermark_column": "updated_at",
            }
            for name in TABLES
        ]
    },
    file="sync_config.yaml",
    env={},
)
SNOWFLAKE = {
    "SNOWFLAKE_ACCOUNT": "acct",
    "SNOWFLAKE_USER": "u",
    "SNOWFLAKE_PASSWORD": "hunter2-snowflake",
    "SNOWFLAKE_WAREHOUSE": "W",
    "SNOWFLAKE_DATABASE": "D",
    "SNOWFLAKE_SCHEMA": "S",
}


def ran(ledger: Ledger, table: str, number: int, status: Status, **facts: Any) -> None:
    """Record a run as an engine does."""
    [claim], _ = ledger.leases.claim([table], run_id=f"run{number}", holder="test")
    at = datetime.now(UTC) - timedelta(minutes=9 - number)
    if status is Status.PARTIAL:
        ledger.rejected_rows.add(claim, [Rejected({"id": "7"}, "too long", "name", {"name": "Ann's secret"})])
    report = TableReport(table, f"D.A.{table}", f"run{number}", status, at, seconds=2.0, **facts)
    ledger.run_log.finish([(claim, report)])
    ledger.leases.release([claim])


@pytest.fixture
def ledger(database: str) -> Iterator[Ledger]:
    """Five runs of one table, and a failed one of another."""
    made = Ledger(PostgresSettings.from_dsn(database))
    made.migrate()
    for number in range(4):
        ran(
            made,
            "public.good",
            number,
            Status.OK,
            rows_inserted=2,
            query_ids=(f"01b-{number}",),
            events=("ddl",),
        )
    ran(made, "public.good", 4, Status.PARTIAL, rows_inserted=1, phases={"read": 0.5, "merge": 1.5})
    ran(made, "public.bad", 5, Status.ERROR, error="no grant", advice="Grant it.", query_ids=("01b-bad",))
    yield made
    made.close()


def app_of(ledger: Ledger, **options: Any) -> FastAPI:
    app = FastAPI()
    app.include_router(
        status_router(CONFIG, settings=Settings.from_env({"POSTGRES_DSN": "postgresql://u@h/d", **SNOWFLAKE}),
                      ledger=ledger, **options)
    )  # fmt: skip
    return app


def everybody() -> None:
    """A dependency that lets everybody in."""


def protected(ledger: Ledger, *, actions: bool = False) -> TestClient:
    return TestClient(app_of(ledger, dependencies=[Depends(everybody)], actions=actions))


def walked(client: TestClient, path: str, limit: int) -> list[dict[str, Any]]:
    """Every item of a list, page by page."""
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = client.get(
            f"{API}/{path}", params={"limit": limit} | ({"cursor": cursor} if cursor else {})
        ).json()
        found += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


def test_the_summary_says_in_one_word_whether_the_data_can_be_trusted(ledger: Ledger) -> None:
    """The word, the table that causes it, and the advice that its run has recorded."""
    answer = protected(ledger).get(f"{API}/summary")
    found = answer.json()
    assert answer.headers["cache-control"] == "no-store"
    assert (found["word"], found["reason"]) == ("failing", "public.bad has stopped: no grant.")
    assert found["advice"] == "Grant it."
    assert (found["tables"], found["states"]) == (3, {"failed": 1, "rows-refused": 1, "never-run": 1})
    assert found["rows_24h"]["inserted"] == 9


def test_workers_that_are_silent_are_told_from_tables_without_changes(ledger: Ledger, database: str) -> None:
    """Once no worker begins a tick, the word is `stopped`, whatever the tables' last runs say."""
    client = protected(ledger)
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("UPDATE sync_watermarks SET last_run = last_run - interval '1 hour'")
        conn.execute("UPDATE sync_ticks SET at = at - interval '1 hour'")
    found = client.get(f"{API}/summary").json()
    assert (found["word"], found["next_tick"]) == ("stopped", None)
    assert "worker" in found["advice"]


def test_every_list_is_paged_without_a_gap(ledger: Ledger) -> None:
    """Pages of any size together are the whole list, each item once, in its order."""
    client = protected(ledger)
    runs = walked(client, "runs", 500)
    assert [run["run_id"] for run in runs] == [f"run{number}" for number in range(5, -1, -1)]
    for path in ("runs", "events", "errors", "requests"):
        assert walked(client, path, 1) == walked(client, path, 500), path
    assert [table["name"] for table in walked(client, "tables", 2)] == [*TABLES]


def test_a_table_is_shown_with_everything_that_the_ledger_knows(ledger: Ledger) -> None:
    """Also a table that never ran, and by its target's name; an unknown one is a 404 that names the likely one."""
    client = protected(ledger)
    found = client.get(f"{API}/tables/public.good?span=1h").json()
    assert (found["line"]["state"], found["span"]) == ("rows-refused", "1h")
    assert sum(bar["rows"]["inserted"] for bar in found["series"]["rows"]) == 9
    assert (len(found["runs"]), len(found["line"]["strip"])) == (5, 5)
    assert found["rejected"][0]["reason"] == "too long"
    assert "watermark_column: updated_at" in found["entry"]
    assert client.get(f"{API}/tables/a.new").json()["line"]["state"] == "never-run"
    assert client.get(f"{API}/tables/public.good/certificate").json()["certificates"] == []
    missing = client.get(f"{API}/tables/public.goood")
    assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")
    assert "did you mean public.good" in missing.json()["detail"]


def test_a_run_is_shown_with_its_phases_and_statements(ledger: Ledger) -> None:
    """The longest phase first; a run that is not recorded is a 404."""
    client = protected(ledger)
    found = client.get(f"{API}/runs/run4/public.good").json()
    assert [(phase["name"], phase["share"]) for phase in found["run"]["phases"]] == [
        ("merge", 0.75),
        ("read", 0.25),
    ]
    assert client.get(f"{API}/runs/run5/public.bad").json()["statements"][0]["query_id"] == "01b-bad"
    assert client.get(f"{API}/runs/run99/public.bad").status_code == 404


def test_without_authentication_query_ids_and_contents_are_hidden(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    """What only operators should see is not shown to everybody, and the log says so once, at the start."""
    with caplog.at_level(logging.WARNING, "pgsnow"):
        client = TestClient(app_of(ledger))
        answers = [
            client.get(f"/sync/{path}").text
            for path in (
                "status",
                "api/v1/runs/run5/public.bad",
                "api/v1/errors",
                "api/v1/runs",
                "api/v1/tables",
            )
        ]
    assert not any(word in text for text in answers for word in ("01b-", "Ann's secret", "hunter2"))
    assert len([record for record in caplog.records if "open to everyone" in record.getMessage()]) == 1
    shown = protected(ledger)
    assert "01b-bad" in shown.get("/sync/status").text
    assert "Ann's secret" in shown.get(f"{API}/errors").text


def test_actions_need_an_authentication(ledger: Ledger) -> None:
    """A router that would let everybody resync tables does not start, and one without actions has no such route."""
    with pytest.raises(ValueError, match="dependencies"):
        app_of(ledger, actions=True)
    body = {"table": "public.good", "action": "pause"}
    assert protected(ledger).post(f"{API}/requests", json=body).status_code == 405


ALLOWED: Sequence[dict[str, str]] = (
    {},
    {"Origin": "http://testserver"},
    {"Referer": "http://testserver/sync/"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "https://behind.a.proxy"},
    {"Origin": "https://status.example", "X-Forwarded-Host": "status.example"},
)
REFUSED: Sequence[dict[str, str]] = (
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://[broken"},
    {"Referer": "https://evil.example/testserver"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Origin": "http://testserver"},
)


def test_another_site_cannot_act_for_a_person(ledger: Ledger) -> None:
    """A page elsewhere can make a browser send a request with the person's cookies; such a request changes nothing."""
    client = protected(ledger, actions=True)
    body = {"table": "public.good", "action": "run"}
    for headers in REFUSED:
        assert client.post(f"{API}/requests", json=body, headers=headers).status_code == 403, headers
    assert ledger.requests.open() == []
    for headers in ALLOWED:
        assert client.post(f"{API}/requests", json=body, headers=headers).status_code == 202, headers


def test_asking_twice_is_asking_once(ledger: Ledger) -> None:
    """A double click, or a repeated request, gives the request that is open; its address tells what became of it."""
    client = protected(ledger, actions=True)
    body = {"table": "public.good", "action": "replay"}
    first, second = (client.post(f"{API}/requests", json=body) for _ in range(2))
    assert first.json()["id"] == second.json()["id"]
    assert client.get(first.headers["location"]).json()["state"] == "open"
    [asked] = ledger.requests.open()
    assert (asked.action, asked.source_table) == (RequestAction.REPLAY, "public.good")


def test_pause_and_resume_take_effect_at_once(ledger: Ledger) -> None:
    """A paused table says by whom and why, and is neither stuck nor counted as failing."""
    client = protected(ledger, actions=True)
    answer = client.post(
        f"{API}/requests", json={"table": "public.bad", "action": "pause", "reason": "migration"}
    )
    assert (answer.status_code, answer.json()["state"]) == (200, "done")
    line = client.get(f"{API}/tables/public.bad").json()["line"]
    assert (line["state"], line["pause"]["reason"]) == ("paused", "migration")
    assert client.get(f"{API}/summary").json()["word"] != "failing"
    client.post(f"{API}/requests", json={"table": "public.bad", "action": "resume"})
    assert client.get(f"{API}/tables/public.bad").json()["line"]["pause"] is None


WRONG: Sequence[tuple[Any, int]] = (
    ({"table": "public.nothing", "action": "run"}, 404),
    ({"action": "resync"}, 422),
    ({"table": "public.good", "action": "drop"}, 422),
    ({"table": "public.good", "action": "run", "ids": [1]}, 422),
    ({"table": "public.good", "action": "run", "reason": "why not"}, 422),
    ("no object", 422),
)


def test_a_wrong_action_is_refused_with_the_reason(ledger: Ledger) -> None:
    """Nothing is stored of it, and the answer names what is wrong."""
    client = protected(ledger, actions=True)
    for body, code in WRONG:
        answer = client.post(f"{API}/requests", json=body)
        assert (answer.status_code, answer.headers["content-type"]) == (code, "application/problem+json"), (
            body
        )
        assert answer.json()["detail"]
    no_text = client.post(f"{API}/requests", content=b"\xff", headers={"Content-Type": "application/json"})
    assert (no_text.status_code, no_text.json()["detail"]) == (422, "body: is not JSON in UTF-8")
    assert ledger.requests.listed() == []


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(f'{name}:{password}'.encode()).decode()}"}


def test_a_token_protects_every_route(ledger: Ledger) -> None:
    """Page, API, metrics and status ask for it, as a password in a browser and as a bearer token elsewhere."""
    client = TestClient(app_of(ledger, dependencies=[Depends(TokenRequired("s3cret-token"))]))
    right = ({"Authorization": "Bearer s3cret-token"}, basic("anyone", "s3cret-token"))
    wrong: Sequence[dict[str, str]] = (
        {},
        {"Authorization": "Bearer s3cret"},
        {"Authorization": "Basic %%%"},
        {"Authorization": "Bearer"},
        basic("s3cret-token", ""),
        basic("anyone", "sécret"),
    )
    for path in ("status", "ready", "", "api/v1/summary", "static/style.css", "nothing"):
        refused = {client.get(f"/sync/{path}", headers=headers).status_code for headers in wrong}
        assert refused == ({401} if path != "nothing" else {404}), path
    for headers in right:
        assert client.get("/sync/api/v1/summary", headers=headers).status_code == 200


def test_an_empty_token_lets_nobody_in() -> None:
    """A variable that is set to nothing must not mean that everybody may enter."""
    with pytest.raises(ValueError, match="empty"):
        TokenRequired(" ")


def test_errors_are_documents_without_a_traceback(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong parameter is 422, a ledger that is away 503, an unexpected error 500: always in the same form, and
    without a secret."""
    client = TestClient(app_of(ledger), raise_server_exceptions=False)
    away = Ledger(PostgresSettings.from_dsn("postgresql://app:hunter2@127.0.0.1:1/app?connect_timeout=2"))
    answers = [
        client.get(f"{API}/runs?limit=0"),
        client.get(f"{API}/runs?cursor=nonsense"),
        client.get(f"{API}/runs?table=%00"),
        TestClient(app_of(away)).get(f"{API}/summary"),
    ]
    monkeypatch.setattr(ledger, "history", None)
    answers.append(client.get(f"{API}/runs"))
    assert [answer.status_code for answer in answers] == [422, 422, 422, 503, 500]
    for answer in answers:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == answer.status_code
        assert answer.json()["detail"]
        assert not any(word in answer.text for word in ("Traceback", "hunter2"))


def paths_of(app: FastAPI) -> Sequence[str]:
    return [path for path in app.openapi()["paths"] if path.startswith(API)]


def test_the_api_keeps_what_its_document_says(ledger: Ledger) -> None:
    """Whatever a client sends, each answer has a documented code and the documented form, and none is a 500."""
    import schemathesis  # one test alone needs it, and each process imports all tests
    from schemathesis import GenerationMode
    from schemathesis.core.result import Ok

    app = app_of(ledger, dependencies=[Depends(everybody)], actions=True)
    assert {path.removeprefix(API) for path in paths_of(app)} == {
        "/summary", "/tables", "/tables/{name}", "/tables/{name}/certificate", "/runs", "/runs/{run_id}/{table}",
        "/events", "/errors", "/requests", "/requests/{number}",
    }  # fmt: skip
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    found = schema.include(path_regex=f"^{API}/").get_all_operations()
    operations = [one.ok() for one in found if isinstance(one, Ok)]
    assert len(operations) == 11
    for operation in operations:
        strategies = [operation.as_strategy(mode) for mode in GenerationMode]

        @settings(
            max_examples=3, deadline=None, database=None, phases=[Phase.generate],
            suppress_health_check=[*HealthCheck],
        )  # fmt: skip
        @given(case=st.one_of(strategies))
        def keeps_its_word(case: schemathesis.Case[Any]) -> None:
            case.call_and_validate()

        keeps_its_word()
