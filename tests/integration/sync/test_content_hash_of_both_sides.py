"""Both databases write a row's content as one text: the same for equal rows, and never the same for different ones."""

from __future__ import annotations

import random
import struct
from typing import Any

from psycopg.sql import SQL, Identifier

from pgsnow.model.plan import TablePlan
from pgsnow.model.types.content_cell import content_cells
from pgsnow.postgres.compare import content
from pgsnow.snowflake.names import qualified
from pgsnow.snowflake.schema.target_table import describe
from pgsnow.snowflake.session import connect
from pgsnow.snowflake.sql import compare_content
from tests.world import World

TABLE = """
create table odd (
  id int primary key, f float8, r real, n numeric(12,3), big numeric(38,10), u numeric, t text, c char(5), b bytea,
  d date, ti time, ts timestamp, tz timestamptz, bo bool, uu uuid, iv interval, i8 int8, document jsonb)
"""
DOUBLES = [
    *("0", "-0", "1", "2", "4", "0.1", "-0.1", "1e308", "-1.7976931348623157e308", "5e-324", "NaN"),
    *("2.2250738585072014e-308", "2.2250738585072009e-308", "1e-310", "Infinity", "-Infinity"),
    *("0.30000000000000004", "123456789012345678", "3.141592653589793"),
]
COLUMNS: tuple[list[Any], ...] = (
    ["0", "-1.5", "999999999.999", None, "0.001"],
    ["0", "-0.0000000001", "1234567890123456789012345678.0123456789", None],
    ["NaN", "1.50", "1e40", "-0"],
    ["", "a,b", "3:abc,", "ü€😀", "\\x", "' ", "\n", None, "NULL", "a" * 1000],
    ["ab", None, "", "  x"],
    [b"", b"\0\xff", None],
    ["0001-01-01", "9999-12-31", "2024-02-29", None, "1582-10-10"],
    ["00:00", "23:59:59.999999", "10:00:00.5", None, "10:10:00"],
    ["0001-01-01", "9999-12-31 23:59:59.999999", "2024-02-29 10:10:10.100", None],
    ["0001-01-01 00:00:00Z", "9999-12-31 23:59:59.999999Z", "2024-02-29 10:10:10.100+02", None],
    [True, False, None],
    [None, "123e4567-e89b-12d3-a456-426614174000"],
    ["1 mon -2 days 3.000001s", None],
    [2**63 - 1, -(2**63), None],
)
"""Values of the columns n to i8."""
CHANGES = {
    "F": "F * (1 + 2.220446049250313e-16)", "N": "N + 0.001", "T": "T || ' '", "B": "X'01'", "BO": "NOT BO",
    "TI": "TIMEADD(MICROSECOND, 1, TI)", "TZ": "DATEADD(MICROSECOND, 1, TZ)", "U": "NULL", "I8": "I8 - 1",
}  # fmt: skip
"""A column of the row with id 1000 → another value, as close to its own as possible."""


def doubles() -> list[str]:
    """Doubles of every size: named ones, powers of two and their neighbours, and random ones."""
    chance = random.Random(13)
    powers = [2.0**power * near for power in range(-1000, 1023, 67) for near in (1, 1 - 2**-53, 1 + 2**-52)]
    found = (struct.unpack("<d", chance.randbytes(8))[0] for _ in range(200))
    return [*DOUBLES, *map(repr, powers), *(repr(value) for value in found if value == value)]


def fill(world: World) -> None:
    world.sql(TABLE)
    insert = f"insert into odd values ({', '.join(['%s'] * 18)})"
    for at, double in enumerate(doubles()):
        real = double if 1e-30 < abs(float(double)) < 1e30 else str(at / 7)
        cells = [values[at % len(values)] for values in COLUMNS]
        world.source.execute(insert.encode(), [at, double, real, *cells, '{"a": 1}'])
    world.sql(
        "insert into odd values (1000, 0.7, 0.7, 1, 1, 1, 'text', 'c', '\\x00', '2024-02-29', '10:00', '2024-01-01',"
        " '2024-01-01Z', true, null, null, 5, '{}')"
    )


def texts(world: World, plan: TablePlan) -> tuple[dict[int, str], dict[int, str]]:
    """The text of each row's content by its id, of the source and of the target."""
    with connect(world.settings.snowflake, query_tag="test") as session:
        columns = {column.name: column.kind for column in describe(session, plan.target) or ()}
        cells, documents = content_cells(plan.output, columns)
        assert [field.source for field in documents] == ["document"]
        expression = compare_content.row_text(cells)
        there = session.execute(f'SELECT "ID", {expression} FROM {qualified(plan.target)}').rows
    query = SQL("select id, {} from {}").format(content.row_text(cells, "UTF8"), Identifier("odd"))
    return dict(world.source.execute(query).fetchall()), {int(key): text for key, text in there}


def test_equal_rows_have_one_text_and_no_changed_cell_has_that_of_another(world: World) -> None:
    """Doubles of every size, texts that look like separators, empty and missing values, the ends of calendars: the
    text of each row is the same in Postgres and in Snowflake; all rows have different texts; and a value that differs
    by the least that its type can hold gives another text."""
    fill(world)
    world.tables = [{"source": "public.odd", "target": "public.odd", "mode": "xmin"}]
    for setting in ("timezone = 'UTC'", "extra_float_digits = 1"):
        world.sql(f"set {setting}")
    with world.engine() as engine:
        assert engine.tick().failures == ()
        conn = engine.source.connect()
        plan = engine.planner.plan(conn, engine.config.tables[0], None).plan
        conn.close()
    source, target = texts(world, plan)
    assert len(source) > 250
    assert {key: text for key, text in source.items() if target.get(key) != text} == {}
    assert len(set(source.values())) == len(source)
    for column, value in CHANGES.items():
        world.snowflake("BEGIN")
        world.snowflake(f"UPDATE PUBLIC.ODD SET {column} = {value} WHERE ID = 1000")
        world.snowflake("COMMIT")
        _, changed = texts(world, plan)
        assert changed[1000] != target[1000], column
        target = changed
