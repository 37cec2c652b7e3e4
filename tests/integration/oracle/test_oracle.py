"""The oracle can fail: it sees every kind of difference, in each family of types. Nothing here is synced by pgsnow."""

from __future__ import annotations

from typing import Any

import pytest

from tests.oracle.compare import Difference
from tests.world import World

CELLS: dict[str, tuple[str, str, str, str, str]] = {
    "n": ("bigint", "9007199254740993", "NUMBER(38,0)", "9007199254740993", "9007199254740992"),
    "exact": ("numeric(20,4)", "0.1000", "NUMBER(20,4)", "0.1", "0.1001"),
    "single": ("float4", "0.1", "FLOAT", "0.1::FLOAT", "0.10000000149011612::FLOAT"),
    "double": ("float8", "'NaN'", "FLOAT", "'NaN'::FLOAT", "'inf'::FLOAT"),
    "sign": ("float8", "'-0'", "FLOAT", "'-0'::FLOAT", "0::FLOAT"),
    "flag": ("bool", "true", "BOOLEAN", "TRUE", "FALSE"),
    "txt": ("text", "'a '", "VARCHAR", "'a '", "'a'"),
    "padded": ("char(3)", "'a'", "VARCHAR", "'a  '", "'a'"),
    "empty": ("text", "''", "VARCHAR", "''", "NULL"),
    "nothing": ("text", "null", "VARCHAR", "NULL", "''"),
    "free": ("numeric", "1.10", "VARCHAR", "'1.10'", "'1.1'"),
    "bytes": ("bytea", "'\\x00ff'", "BINARY", "TO_BINARY('00ff', 'HEX')", "TO_BINARY('00fe', 'HEX')"),
    "day": ("date", "'2024-02-29'", "DATE", "'2024-02-29'", "'2024-03-01'"),
    "clock": ("time", "'23:59:59.000001'", "TIME(6)", "'23:59:59.000001'", "'23:59:59.000002'"),
    "plain_time": ("timestamp", "'2024-01-01 00:00:00.000001'", "TIMESTAMP_NTZ(6)", "'2024-01-01 00:00:00.000001'",
                   "'2024-01-01 00:00:00'"),
    "instant": ("timestamptz", "'2024-01-01 00:00+02'", "TIMESTAMP_TZ(6)", "'2023-12-31 22:00:00+00:00'",
                "'2024-01-01 00:00:00+00:00'"),
    "document": ("jsonb", """'{"a": [1, null, true], "b": 0.1}'""", "VARIANT",
                 """PARSE_JSON('{"b": 0.10, "a": [1, null, true]}')""",
                 """PARSE_JSON('{"b": 0.1, "a": [1, null, 1]}')"""),
    "null_document": ("jsonb", "'null'", "VARIANT", "PARSE_JSON('null')", "NULL"),
    "list": ("int[]", "'{{1,2},{3,4}}'", "VARIANT", "PARSE_JSON('[[1,2],[3,4]]')", "PARSE_JSON('[1,2,3,4]')"),
    "pair": ("pair", "row(1, 'x')", "VARIANT", """PARSE_JSON('{"a":1,"b":"x"}')""",
             """PARSE_JSON('{"a":1,"b":"y"}')"""),
    "cash": ("money", "12.34", "VARCHAR", "'12.34'", "'$12.34'"),
    "span": ("interval", "'1 mon -2 days'", "VARCHAR", "'1 mon -2 days'", "'1 mon 2 days'"),
    "bounds": ("int4range", "'[1,5)'", "VARCHAR", "'[1,5)'", "'[1,4]'"),
    "place": ("inet", "'::1'", "VARCHAR", "'::1/128'", "'::1'"),
}  # fmt: skip
"""Column → its type and value in Postgres, its type and equal value in Snowflake, and another value there."""
COLUMNS = ", ".join(CELLS)


@pytest.fixture
def pairs(world: World) -> World:
    """Three rows, on both sides, put there by hand."""
    types = ", ".join(f"{name} {cell[0]}" for name, cell in CELLS.items())
    values = ", ".join(cell[1] for cell in CELLS.values())
    world.sql("create type pair as (a int, b text)")
    world.sql(f"create table pairs (id int primary key, {types})")
    kinds = ", ".join(f"{name} {cell[2]}" for name, cell in CELLS.items())
    held = ", ".join(f"{cell[3]} AS {name}" for name, cell in CELLS.items())
    world.snowflake("CREATE SCHEMA ANALYTICS")
    world.snowflake(f"CREATE TABLE ANALYTICS.PAIRS (ID NUMBER(38,0), {kinds}, EXTRA_OF_THE_TARGET VARCHAR)")
    for row in (1, 2, 3):
        world.sql(f"insert into pairs values ({row}, {values})")
        world.snowflake(f"INSERT INTO ANALYTICS.PAIRS (ID, {COLUMNS}) SELECT {row}, {held}")
    world.tables = [{"source": "public.pairs", "target": "analytics.pairs"}]
    return world


def found(world: World, **more: Any) -> list[Difference]:
    (differences,) = world.differences(**more).values()
    return differences


def kinds(world: World) -> set[tuple[str, str | None]]:
    return {(difference.kind, difference.column) for difference in found(world)}


def test_each_altered_cell_is_told_by_its_column_and_no_equal_one_is(pairs: World) -> None:
    assert found(pairs) == []
    for name, (*_, other) in CELLS.items():
        pairs.snowflake(f"UPDATE ANALYTICS.PAIRS SET {name} = {other} WHERE ID = 2")
    assert kinds(pairs) == {("altered", name.upper()) for name in CELLS}
    assert len(found(pairs)) == len(CELLS)
    with pytest.raises(AssertionError, match=r"public\.pairs: \d+ differences"):
        pairs.assert_equal()


def test_rows_that_are_missing_extra_doubled_or_stale_are_told(pairs: World) -> None:
    columns = f"ID, {COLUMNS}"
    pairs.snowflake(
        f"INSERT INTO ANALYTICS.PAIRS ({columns}) SELECT {columns} FROM ANALYTICS.PAIRS WHERE ID = 1"
    )
    assert kinds(pairs) == {("duplicate", None)}
    pairs.sql("update pairs set txt = 'newer' where id = 2")
    assert kinds(pairs) == {("duplicate", None), ("altered", "TXT")}
    pairs.sql("insert into pairs (id) values (4)")
    assert kinds(pairs) == {("duplicate", None), ("altered", "TXT"), ("missing", None)}
    pairs.sql("delete from pairs where id = 3")
    assert kinds(pairs) == {("duplicate", None), ("altered", "TXT"), ("missing", None), ("extra", None)}


def test_a_stale_row_beside_the_newest_is_a_duplicate(pairs: World) -> None:
    pairs.sql("update pairs set txt = 'newer' where id = 1")
    pairs.snowflake("UPDATE ANALYTICS.PAIRS SET TXT = 'newer' WHERE ID = 1")
    assert found(pairs) == []
    pairs.snowflake("INSERT INTO ANALYTICS.PAIRS (ID, TXT) VALUES (1, 'older')")
    assert kinds(pairs) == {("duplicate", None)}


def test_without_a_key_rows_are_counted(pairs: World) -> None:
    """With mode append the target may have more of them."""
    pairs.sql("alter table pairs drop constraint pairs_pkey; insert into pairs (id) values (7), (7)")
    pairs.snowflake("INSERT INTO ANALYTICS.PAIRS (ID) VALUES (7)")
    assert kinds(pairs) == {("missing", None)}
    pairs.snowflake("INSERT INTO ANALYTICS.PAIRS (ID) VALUES (7)")
    assert found(pairs) == []
    pairs.snowflake("INSERT INTO ANALYTICS.PAIRS (ID) VALUES (7)")
    assert kinds(pairs) == {("duplicate", None)}
    pairs.tables[0]["mode"] = "append"
    assert found(pairs) == []
    pairs.sql("insert into pairs (id) values (8)")
    assert kinds(pairs) == {("missing", None)}


def test_rejected_rows_are_left_out_and_nothing_else_is(pairs: World) -> None:
    pairs.sql("insert into pairs (id) values (4), (5)")
    for key, state in ((4, "open"), (5, "replayed")):
        pairs.sql(
            "insert into sync_errors (source_table, key, key_digest, reason, run_id, state) values"
            f" ('public.pairs', '{{\"id\": \"{key}\"}}', '{key}', 'a reason', 'a run', '{state}')"
        )
    assert [(d.kind, d.source[0]) for d in found(pairs)] == [("missing", 5)]


def test_a_column_or_a_table_that_is_not_there_is_told(pairs: World) -> None:
    pairs.snowflake("ALTER TABLE ANALYTICS.PAIRS DROP COLUMN TXT")
    assert kinds(pairs) == {("altered", "TXT")}
    pairs.tables[0]["columns"] = {"exclude": ["txt"]}
    assert found(pairs) == []
    pairs.tables[0]["target"] = "analytics.nowhere"
    assert kinds(pairs) == {("no table", None)}


def test_what_a_test_expects_stands_for_the_sources_rows(pairs: World) -> None:
    pairs.sql("insert into pairs (id) values (4)")
    pairs.snowflake("UPDATE ANALYTICS.PAIRS SET TXT = UPPER(TXT)")
    only = {"public.pairs": "select * from pairs where id < 4"}
    assert found(pairs, expected=only, cells={"txt": "upper(txt)"}) == []
    assert len(found(pairs, expected=only)) == 3
