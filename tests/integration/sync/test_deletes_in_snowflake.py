"""Deletes of keys of every kind, as statements: few keys in one statement, many through a staging table."""

from __future__ import annotations

from typing import Any

from pgsnow.cli.output.plan_text import _lines
from pgsnow.model.report import TableReport
from pgsnow.operations.plan.preview import preview
from tests.world import World

KEYS = """
create table things (
    n int, t text, d numeric(9,2), m timestamptz, b bytea, u uuid, f float8, day date, flag boolean,
    updated_at timestamptz not null default now(), primary key (n, t, d, m, b, u, f, day, flag)
);
insert into things
select g, 'Käse, "' || g || '''\\', g / 4.0 - 3, '2024-02-29 12:00+02'::timestamptz + g * interval '0.5 s',
       decode(md5(g::text), 'hex'), md5(g::text)::uuid, g / 3.0, '1969-12-25'::date + g, g % 2 = 0
from generate_series(1, 1500) g
"""


def tick(world: World, **options: Any) -> TableReport:
    with world.engine() as engine:
        return engine.tick(**options).tables[0]


def test_deletes_of_keys_of_every_type(world: World) -> None:
    """A plan has their number. Five deletes cost six statements at most; 1,200 go through a staging table, which is
    removed."""
    world.sql(KEYS)
    world.tables[0] |= {
        "source": "public.things",
        "target": "analytics.things",
        "pk": ["n", "t", "d", "m", "b", "u", "f", "day", "flag"],
        "sweep_every": "1ms",
        "sweep_share": "100%",
    }
    assert tick(world).ok
    world.sql("delete from things where n in (3, 4, 500, 900, 1500)")
    [planned] = preview(world.config, world.settings)
    assert planned.rows_to_delete == 5
    assert any("5 rows of the target" in line for _, line in _lines(planned, verbose=False))
    before = world.emulator.noted()
    report = tick(world)
    sent = world.emulator.statements_since(before)
    assert report.rows_deleted == 5, (report.error, report.events, sent[-3:])
    assert len([text for text in sent if not text.startswith("ALTER SESSION")]) <= 6, sent
    world.assert_equal()
    world.sql("delete from things where n > 280 and n < 1490")
    assert tick(world, confirm_deletes=True).rows_deleted == 1207
    world.assert_equal()
    assert world.leftovers() == []


def test_a_full_read_that_nobody_requested_asks(world: World) -> None:
    """The rows that it would delete are counted first."""
    world.sql("insert into users select g from generate_series(1, 10) g")
    assert tick(world).ok
    world.snowflake("DELETE FROM ANALYTICS.USERS WHERE ID = 1")
    world.sql("truncate users")
    tick(world)
    report = tick(world)
    assert report.error_type == "DeletesUnconfirmed"
    assert "9 rows of 9" in (report.error or "")
    assert world.snowflake("SELECT COUNT(*) FROM ANALYTICS.USERS") == [(9,)]
