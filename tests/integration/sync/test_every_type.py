"""A table that holds every type and its edge values: after a tick each cell is equal, or listed in the report."""

from __future__ import annotations

from typing import Any

import pytest

from pgsnow.model.report import Status
from tests.world import MemoryWorld, World

GOOD: dict[str, tuple[str, list[str]]] = {
    "i2": ("int2", ["-32768", "32767"]),
    "i4": ("int4", ["-2147483648", "2147483647"]),
    "i8": ("int8", ["-9223372036854775808", "9223372036854775807"]),
    "price": ("numeric(12,2)", ["-9999999999.99", "0.10"]),
    "n38": ("numeric(38,0)", ["9" * 38, "-" + "9" * 38]),
    "n37": ("numeric(38,37)", ["9." + "9" * 37]),
    "neg": ("numeric(5,-2)", ["'1234567'"]),
    "wide": ("numeric(50,10)", ["9" * 40 + ".0000000001", "'NaN'"]),
    "free": ("numeric", ["repeat('9', 131072)::numeric", "'NaN'", "'Infinity'", "'-Infinity'", "0.10"]),
    "f4": ("float4", ["0.1", "'NaN'", "'-Infinity'", "1e-45", "'-0'"]),
    "f8": ("float8", ["0.1", "'NaN'", "'Infinity'", "5e-324", "1.7976931348623157e308"]),
    "cash": ("money", ["'-92233720368547758.08'", "12.34"]),
    "flag": ("bool", ["true", "false"]),
    "txt": ("text", ["''", "'null'", "e'\\t\\\\N \"q\"'", "'Grüße 東京 \U0001f600'"]),
    "vc": ("varchar(5)", ["'ab '"]),
    "ch": ("char(6)", ["'ab'", "''"]),
    "one": ('"char"', ["'x'"]),
    "nm": ("name", ["'a name'"]),
    "uid": ("uuid", ["'00000000-0000-0000-0000-000000000000'"]),
    "bin": ("bytea", ["''", "'\\x00ff'"]),
    "day": ("date", ["'0001-01-01'", "'9999-12-31'"]),
    "clock": ("time", ["'00:00'", "'23:59:59.999999'"]),
    "ttz": ("timetz", ["'24:00+15:59'", "'04:05:06.000007-03:30'"]),
    "ntz": ("timestamp", ["'0001-01-01'", "'9999-12-31 23:59:59.999999'", "'1969-12-31 23:59:59.999999'"]),
    "tz": ("timestamptz", ["'0001-01-01 00:00+00'", "'9999-12-31 23:59:59.999999+00'"]),
    "iv": ("interval", ["'-178000000 years'", "'1 mon -2 days 3.000001 s'"]),
    "js": ("json", ["'null'", """'{"a": 1, "b" : 2, "a":3.10}'""", "'\"\\u0000\"'", "'1.5e300'", "'7'"]),
    "jb": ("jsonb", ["'null'", f"'{'7' * 38}'", "'\"\"'", """'{"\U0001f600": [1, null, {"b": 1.10}]}'"""]),
    "ints": ("int[]", ["'{1,NULL,3}'", "'{}'", "'{{1,2},{3,4}}'"]),
    "texts": ("text[]", ["array['a,b', '', null, 'NULL']"]),
    "floats": ("float8[]", ["'{NaN,-Infinity,1e300,0.1}'"]),
    "moments": ("timestamptz[]", ["'{infinity,\"0044-03-15 12:00+00 BC\"}'"]),
    "blobs": ("bytea[]", ["array['\\x00ff'::bytea]"]),
    "docs": ("json[]", ["""array['{"a":1,"a":2}','"\\u0000"',null]::json[]"""]),
    "feeling": ("mood", ["'sad'"]),
    "pos": ("outer_domain", ["7.5"]),
    "pair": ("pair", ["row(1,'x')", "row(null,null)"]),
    "r4": ("int4range", ["'[1,5)'", "'empty'"]),
    "rz": ("tstzrange", ["'[2026-01-01 00:00+00,infinity)'"]),
    "m4": ("int4multirange", ["'{[1,2),[5,)}'"]),
    "bits": ("bit(3)", ["'101'"]),
    "vbits": ("varbit", ["'10110'"]),
    "ip": ("inet", ["'10.0.0.1/8'", "'::1'"]),
    "net": ("cidr", ["'10.0.0.0/8'"]),
    "mac": ("macaddr", ["'08:00:2b:01:02:03'"]),
    "spot": ("point", ["'(0.1,-0)'"]),
    "area": ("polygon", ["'((0,0),(1,0),(1,1e-300))'"]),
    "words": ("tsvector", ["'a:1 b:2A'"]),
    "search": ("tsquery", ["'a & !b'"]),
    "num": ("oid", ["4294967295"]),
    "cls": ("regclass", ["'pg_class'"]),
    "lsn": ("pg_lsn", ["'FFFFFFFF/FFFFFFFF'"]),
    "x8": ("xid8", ["'18446744073709551615'"]),
    "way": ("jsonpath", ["'$.a[*]'"]),
    "hs": ("hstore", ["'a=>1, b=>NULL'"]),
    "ci": ("citext", ["'MiXed'"]),
    "tree": ("ltree", ["'Top.Science'"]),
}  # fmt: skip
BAD: dict[str, list[str]] = {
    "day": ["'infinity'", "'-infinity'", "'0044-03-15 BC'", "'10000-01-01'"],
    "clock": ["'24:00'"],
    "ntz": ["'infinity'", "'-infinity'", "'0044-03-15 BC'", "'294276-12-31 23:59:59.999999'"],
    "tz": ["'infinity'", "'-infinity'", "'4714-11-24 00:00+00 BC'", "'10000-01-01 00:00+00'"],
    "price": ["'NaN'"],
    "jb": [f"'{'7' * 39}'"],
    "js": ["'[1e400]'", "'[\"\\ud800\"]'"],
}
NULLED = {name: f"case when id < 1000 then {name} end" for name in BAD}
"""What on_overflow: null makes of them: the rows from 1000 on hold the bad values."""
ENDS = {
    "day": ("'0001-01-01'", "'9999-12-31'"),
    "clock": ("'00:00'", "'23:59:59.999999'"),
    "ntz": ("'0001-01-01'", "'9999-12-31 23:59:59.999999'"),
    "tz": ("'0001-01-01 00:00+00'", "'9999-12-31 23:59:59.999999+00'"),
}
CLAMPED = {
    name: f"case when {name} < {low} then {low} when {name} > {high} then {high} else {name} end"
    for name, (low, high) in ENDS.items()
}
ROWS = max(len(values) for _, values in GOOD.values())
BAD_CELLS = {name: len(values) for name, values in BAD.items()}
TABLE = {"source": "public.every", "target": "analytics.every", "pk": "id", "watermark_column": "updated_at"}


@pytest.fixture
def every(world: World) -> World:
    return filled(world)


@pytest.fixture
def every_in_memory(memory_world: MemoryWorld) -> World:
    return filled(memory_world)


def filled(world: World) -> World:
    """Rows of good values, NULL where a type has fewer; then one row a bad value."""
    columns = ", ".join(f"{name} {kind}" for name, (kind, _) in GOOD.items())
    world.tables = [dict(TABLE)]
    for statement in (
        *("create extension hstore", "create extension citext", "create extension ltree"),
        *("create type mood as enum ('sad')", "create type pair as (a int, b text)"),
        "create domain inner_domain as numeric(10,2)",
        "create domain outer_domain as inner_domain check (value > 0)",
        f"create table every (id int primary key, {columns}, updated_at timestamptz not null default now())",
    ):
        world.sql(statement)
    for at in range(ROWS + 1):
        values = ", ".join(v[at] if at < len(v) else "null" for _, v in GOOD.values())
        world.sql(f"insert into every values ({at}, {values})")
    for at, (name, value) in enumerate((name, v) for name, values in BAD.items() for v in values):
        world.sql(f"insert into every (id, {name}) values ({1000 + at}, {value})")
    return world


def test_every_cell_is_equal_or_its_row_is_listed(every: World) -> None:
    with every.engine() as engine:
        report = engine.tick().tables[0]
        assert (report.status, report.rows_inserted) == (Status.PARTIAL, ROWS + 1)
        listed: dict[str, int] = {}
        for error in engine.ledger.rejected_rows.listed():
            listed[str(error.column)] = listed.get(str(error.column), 0) + 1
    assert listed == BAD_CELLS
    assert report.cells_changed == {}
    every.assert_equal()
    (verdict,) = every.verdicts()
    assert verdict.differences == []
    assert verdict.quarantined == sum(BAD_CELLS.values())


def test_every_way_of_merging_leaves_equal_cells(every: World) -> None:
    """A MERGE reads the files itself, gets a few rows as bound values, or reads a staging table: the same values."""
    every.sql("delete from every where id >= 1000")
    with every.engine() as engine:
        engine.tick()
    for rows, via, kinds in (
        (ROWS + 1, "stage", {"PUT", "MERGE"}),
        (4, "stage", {"MERGE"}),
        (4, "table", None),
    ):
        every.tables[0] |= {"load_via": via}
        every.sql(f"update every set updated_at = clock_timestamp() where id < {rows}")
        every.snowflake("UPDATE ANALYTICS.EVERY SET TXT = 'x', BIN = NULL, JS = NULL, TZ = NULL, F8 = 7")
        with every.engine() as engine:
            [report] = engine.tick().tables
        assert (report.ok, report.rows_updated) == (True, rows)
        assert (
            kinds is None or {sent.kind for sent in report.statements} - {"REMOVE", "SHOW", "SELECT"} == kinds
        )
        every.sql(f"update every set updated_at = clock_timestamp() where id >= {rows}")
        with every.engine() as engine:
            assert engine.tick().tables[0].ok
        every.assert_equal()


@pytest.mark.parametrize(
    ("how", "refused", "cells"),
    [("null", {}, NULLED), ("clamp", {"price": 1, "jb": 1, "js": 2}, CLAMPED), ("text", {}, {})],
    ids=["null", "clamp", "text"],
)
def test_every_cell_is_as_on_overflow_says_and_each_change_is_counted(
    every_in_memory: World, how: str, refused: dict[str, int], cells: dict[str, str]
) -> None:
    every_in_memory.tables[0] |= {"on_overflow": how}
    with every_in_memory.engine() as engine:
        report = engine.tick().tables[0]
    assert report.rows_rejected == sum(refused.values())
    changed = {name: count for name, count in BAD_CELLS.items() if name not in refused}
    assert report.cells_changed == ({} if how == "text" else changed)
    ((events,),) = every_in_memory.sql("select events from sync_logs")
    told = [event for event in events if event.startswith("changed")]
    assert len(told) == len(report.cells_changed)
    every_in_memory.assert_equal(cells=cells)


def test_a_change_by_hand_of_any_column_is_seen(every: World) -> None:
    """The comparison above would tell if one cell were wrong."""
    with every.engine() as engine:
        engine.tick()
    every.snowflake(
        "UPDATE ANALYTICS.EVERY SET F4 = 0.2, CH = 'ab', WORDS = '', DAY = '2000-01-01', JB = PARSE_JSON('1')"
        " WHERE ID = 0"
    )
    (verdict,) = every.verdicts()
    assert {d.column for d in verdict.differences} == {"F4", "CH", "WORDS", "DAY", "JB"}


def test_another_on_overflow_reads_the_table_again(world: World) -> None:
    world.sql("alter table users add column seen timestamp")
    world.sql("insert into users (id, seen) values (1, now()), (2, 'infinity')")
    with world.engine() as engine:
        assert engine.tick().tables[0].rows_rejected == 1
    world.tables[0] |= {"columns": {"on_overflow": {"seen": "clamp"}}}
    with world.engine() as engine:
        report = engine.tick().tables[0]
        assert (report.status, report.cells_changed) == (Status.OK, {"seen": 1})
        assert engine.ledger.rejected_rows.listed() == []
    world.assert_equal(cells={"seen": "least(seen, '9999-12-31 23:59:59.999999')"})
    assert world.snowflake("SELECT SEEN::VARCHAR FROM ANALYTICS.USERS WHERE ID = 2")[0][0].startswith(
        "9999-12-31"
    )


@pytest.mark.parametrize(("how", "kept"), [("clamp", "too l"), ("null", None)])
def test_a_targets_own_shorter_column_follows_it_too(world: World, how: str, kept: Any) -> None:
    world.snowflake("CREATE SCHEMA IF NOT EXISTS ANALYTICS")
    world.snowflake(
        "CREATE TABLE ANALYTICS.USERS (ID NUMBER(38,0) NOT NULL, NAME VARCHAR(5), BALANCE NUMBER(12,2), "
        "PROFILE VARIANT, UPDATED_AT TIMESTAMP_TZ(6), PRIMARY KEY (ID))"
    )
    world.tables[0] |= {"columns": {"on_overflow": {"name": how}}}
    world.sql("insert into users (id, name) values (1, 'short'), (2, 'too long')")
    with world.engine() as engine:
        report = engine.tick().tables[0]
    assert (report.status, report.cells_changed) == (Status.OK, {"name": 1})
    assert world.snowflake("SELECT NAME FROM ANALYTICS.USERS WHERE ID = 2") == [(kept,)]
    held = "left(name, 5)" if how == "clamp" else "case when length(name) <= 5 then name end"
    world.assert_equal(cells={"name": held})


def test_functions_and_operators_of_one_name_are_keys_apart(memory_world: MemoryWorld) -> None:
    """`regproc` and `regoper` show a name without the types it is overloaded for: rows by them would be merged."""
    memory_world.sql("create table called (f regproc, o regoper, times int, primary key (f, o))")
    memory_world.sql(
        "insert into called select f::oid, o::oid, 1 from unnest(array['abs(int4)', 'abs(int8)', 'now()']"
        "::regprocedure[]) f, unnest(array['+(int4,int4)', '+(int8,int8)']::regoperator[]) o"
    )
    memory_world.sql("insert into called values (0, 0, 1), (4294967295, 4294967295, 1)")
    memory_world.tables = [{"source": "public.called", "target": "analytics.called", "mode": "xmin"}]
    with memory_world.engine() as engine:
        assert engine.tick().tables[0].rows_inserted == 8
        memory_world.assert_equal()
        memory_world.sql("update called set times = f::oid::int8 % 1000 + 2")
        assert engine.tick().tables[0].rows_updated == 8
    memory_world.assert_equal()
