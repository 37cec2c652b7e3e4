"""verify compares by key ranges: it finds each kind of difference whatever the table's shape, and none in a table that
changes."""

from __future__ import annotations

from collections import Counter
from typing import Any

import psycopg
import pytest

from pgsnow.operations.verify.verdict import Verdict
from pgsnow.operations.verify.verify import Scope, verify
from tests.world import World

ROWS = 3_000
TABLES = """
create table plain (id bigint primary key, name text, price numeric(12,2), at timestamptz);
insert into plain select g, 'n' || g, g / 3.0, timestamptz '2024-01-01Z' + g * interval '1 minute'
from generate_series(1, {rows}) g;
create table docs (code text, no int, document jsonb, primary key (code, no));
insert into docs select 'c' || g % 50, g, jsonb_build_object('n', g, 'x', g / 4.0, 'ü', array[g])
from generate_series(1, {rows}) g;
create table hidden (id uuid primary key, email text, note text);
insert into hidden select md5(g::text)::uuid, 'e' || g, 'note ' || g from generate_series(1, {rows}) g;
create table bag (a int, b text);
insert into bag select g % 1000, 'b' || g % 1000 from generate_series(1, {rows}) g
"""
ENTRIES: list[dict[str, Any]] = [
    {"source": "public.plain", "target": "public.plain", "mode": "xmin"},
    {"source": "public.docs", "target": "public.docs", "mode": "xmin"},
    {
        "source": "public.hidden",
        "target": "public.hidden",
        "mode": "xmin",
        "transform": {"mask": ["note"], "hash": ["id"], "salt": "a long enough salt for a test"},
    },
    {"source": "public.bag", "target": "public.bag", "mode": "full"},
]
DAMAGE = """
DELETE FROM PUBLIC.PLAIN WHERE ID IN (5, 2999); INSERT INTO PUBLIC.PLAIN (ID, NAME) VALUES (9000, 'ghost');
UPDATE PUBLIC.PLAIN SET PRICE = PRICE + 0.01 WHERE ID = 100;
INSERT INTO PUBLIC.PLAIN SELECT * FROM PUBLIC.PLAIN WHERE ID = 7;
UPDATE PUBLIC.DOCS SET DOCUMENT = PARSE_JSON('{"n": 8, "x": 2.0, "ü": [9]}') WHERE NO = 8;
UPDATE PUBLIC.DOCS SET DOCUMENT = PARSE_JSON('{"ü":[9],"x":2.250,"n":9}') WHERE NO = 9;
DELETE FROM PUBLIC.DOCS WHERE NO = 10;
UPDATE PUBLIC.HIDDEN SET EMAIL = 'other' WHERE EMAIL = 'e77'; DELETE FROM PUBLIC.HIDDEN WHERE EMAIL = 'e78';
DELETE FROM PUBLIC.BAG WHERE A = 3; INSERT INTO PUBLIC.BAG (A, B) VALUES (4, 'b4')
"""
FOUND = {
    "public.plain": {"missing": 2, "ghost": 1, "value": 1, "duplicate": 1},
    "public.docs": {"value": 1, "missing": 1},
    "public.hidden": {"value": 1, "missing": 1},
    "public.bag": {"missing": 3, "duplicate": 1},
}


@pytest.fixture
def loaded(world: World) -> World:
    """Four tables with a few thousand rows: with a plain key, with documents and a key of two columns, with a hashed
    key, and without a key."""
    for statement in TABLES.format(rows=ROWS).split(";\n"):
        world.sql(statement)
    world.tables = [{**entry} for entry in ENTRIES]
    with world.engine() as engine:
        assert engine.tick().failures == ()
    return world


def compared(world: World, scope: Scope | None = None) -> dict[str, Verdict]:
    with world.engine() as engine:
        verdicts = verify(engine, None, scope or Scope())
    assert [verdict.error for verdict in verdicts if verdict.error] == []
    return {verdict.table: verdict for verdict in verdicts}


def test_each_difference_is_found_with_its_kind_key_and_column(loaded: World) -> None:
    """Equal tables of every shape are equal. After damage each kind of difference is found, with the column that
    differs; a document with other spelling, order of keys and trailing zeros is the same document."""
    equal = compared(loaded)
    assert {name: each.counts for name, each in equal.items()} == {name: {} for name in FOUND}
    assert all(each.source_rows == each.target_rows == ROWS for each in equal.values())
    assert all(0 < each.equal_ranges == each.ranges for each in equal.values())
    for statement in DAMAGE.split(";"):
        loaded.snowflake(statement.strip())
    damaged = compared(loaded)
    assert {name: each.counts for name, each in damaged.items()} == FOUND
    columns = {d.column for each in damaged.values() for d in each.differences if d.kind == "value"}
    assert columns == {"PRICE", "DOCUMENT", "EMAIL"}
    assert ("c8", 8) in {d.key for d in damaged["public.docs"].differences}
    keys = compared(loaded, Scope(content=False))
    kinds = {"missing": 2, "ghost": 1, "duplicate": 1}
    assert (keys["public.plain"].counts, keys["public.plain"].compared) == (kinds, "keys")


def test_rows_that_changed_after_the_last_read_are_in_flight_and_no_difference(loaded: World) -> None:
    """New, updated and moved rows that no run has read yet, also one whose transaction commits while the tables are
    compared, are counted as in flight; damage beside them is a difference."""
    loaded.sql("insert into plain select g, 'new', 1, now() from generate_series(5001, 5020) g")
    loaded.sql("update plain set name = 'changed' where id <= 10")
    loaded.sql("update docs set document = '{}' where no = 40")
    loaded.sql("update hidden set email = 'changed' where email = 'e5'")
    loaded.sql("insert into bag values (1, 'b1')")
    loaded.snowflake("UPDATE PUBLIC.PLAIN SET NAME = 'damaged' WHERE ID = 20")
    found = compared(loaded)
    in_flight = {name: each.in_flight for name, each in found.items()}
    assert in_flight == {"public.plain": 30, "public.docs": 1, "public.hidden": 1, "public.bag": 1}
    assert sum((Counter(each.counts) for each in found.values()), Counter()) == {"value": 1}
    with loaded.engine() as engine:
        assert engine.tick().failures == ()
    again = compared(loaded)
    assert {each.in_flight for each in again.values()} == {0}
    assert again["public.plain"].counts == {"value": 1}


def test_samples_and_tables_that_fail_and_rows_deleted_after_the_last_search_for_them(loaded: World) -> None:
    """Three stories of tables that were loaded once."""
    a_sample_compares_a_part_and_says_so(loaded)
    a_table_that_fails_does_not_hide_the_others(loaded)
    rows_deleted_after_the_last_search_for_them_are_in_flight(loaded)


def a_sample_compares_a_part_and_says_so(loaded: World) -> None:
    """A sample counts the rows of the compared ranges alone, and ends no doubt about the target."""
    loaded.sql("update sync_watermarks set unverified = 'a doubt'")
    found = compared(loaded, Scope(sample=50))
    assert {each.sample for each in found.values()} == {50}
    assert all(each.equal and each.was_unverified is None for each in found.values())
    assert loaded.sql("select count(*) from sync_watermarks where unverified is not null") == [(4,)]


def a_table_that_fails_does_not_hide_the_others(loaded: World) -> None:
    """The table that cannot be read has its error; the others are compared."""
    with psycopg.connect(loaded.env["POSTGRES_DSN"], autocommit=True) as other:
        other.execute("alter table docs rename column document to documents")
        other.execute("alter table bag rename to gone")
    with loaded.engine() as engine:
        verdicts = {verdict.table: verdict for verdict in verify(engine)}
    assert verdicts["public.bag"].error is not None
    assert verdicts["public.plain"].equal
    assert verdicts["public.hidden"].equal


def rows_deleted_after_the_last_search_for_them_are_in_flight(loaded: World) -> None:
    """While a search for deleted rows is due because the source's counters have moved, rows that only the target has
    are in flight. After that search, a row that is still there is a difference."""
    loaded.tables = loaded.tables[:1]
    with loaded.engine() as engine:
        assert engine.tick().failures == ()
        loaded.sql("delete from plain where id between 11 and 15")
        loaded.sql("select pg_stat_force_next_flush()")
        (verdict,) = verify(engine)
        assert (verdict.counts, verdict.in_flight) == ({}, 5)
        assert engine.tick().failures == ()
        loaded.snowflake("INSERT INTO PUBLIC.PLAIN (ID) VALUES (12)")
        (verdict,) = verify(engine)
        assert (verdict.counts, verdict.in_flight) == ({"ghost": 1}, 0)
