"""Values: as they are loaded from a file and as they are read."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa

from pgsnow.snowflake.names import file_format_of, text
from pgsnow.snowflake.sql import statements as sql
from tests.live.contract import Account, Case, Failed, answers

COPY = "COPY INTO <table>"
STAGED = "Querying data in staged files"
INFINITE = float("inf")
YEAR_1 = datetime(1, 1, 1, tzinfo=UTC)
EDGES = pa.table(
    {
        "ID": pa.array([1, 2, 3], pa.int64()),
        "S": ["\\N", "", None],
        "F": [INFINITE, -INFINITE, 0.1],
        "D": [date(1, 1, 1), date(9999, 12, 31), date(1500, 2, 28)],
        "TS": pa.array([YEAR_1, datetime(9999, 12, 31, tzinfo=UTC), None], pa.timestamp("us", "UTC")),
        "B": [b"\x00\xff", b"", None],
        "NAN": [float("nan")] * 3,
    }
)
LOADED = [("\\N", "<\\N>"), ("", "<>"), (None, None)]
DAYS = [("0001-01-01",), ("9999-12-31",), ("1500-02-28",)]
INSTANTS = [("0001-01-01 00:00:00",), ("9999-12-31 00:00:00",), (None,)]
SHAPE = "(ID NUMBER(38,0), S VARCHAR, F FLOAT, D DATE, TS TIMESTAMP_TZ, B BINARY, NAN FLOAT)"
TYPES = {"ID": "NUMBER(38,0)", "S": "VARCHAR", "F": "FLOAT", "D": "DATE", "TS": "TIMESTAMP_TZ", "B": "BINARY",
         "NAN": "FLOAT"}  # fmt: skip
TEXTS = "SELECT S, '<' || S || '>' FROM {table} ORDER BY ID"
FLOATS = "SELECT F, NAN = 'NaN'::FLOAT FROM {table} ORDER BY ID"
DATES = "SELECT TO_VARCHAR(D, 'YYYY-MM-DD') FROM {table} ORDER BY ID"
TIMES = "SELECT TO_VARCHAR(TS, 'YYYY-MM-DD HH24:MI:SS') FROM {table} ORDER BY ID"
BYTES = "SELECT B FROM {table} ORDER BY ID"


def by_name(account: Account) -> str:
    """The table into which a COPY by column name has loaded the values. Repeated for each case; loaded once."""
    if not account.rows("SHOW TABLES LIKE 'BY_NAME'"):
        place = account.stage_rows("values/1-0", EDGES)
        account.rows(
            f"CREATE TABLE BY_NAME {SHAPE}",
            f"COPY INTO BY_NAME FROM {place} FILE_FORMAT={sql.FILE_FORMAT}"
            f" MATCH_BY_COLUMN_NAME=CASE_INSENSITIVE {sql.COPY_OPTIONS}",
        )
    return "BY_NAME"


def selected(account: Account) -> str:
    """The values as a SELECT from the files reads them."""
    place = account.stage_rows("values/1-0", EDGES)
    columns = ", ".join(f'$1:"{name}"::{kind} AS "{name}"' for name, kind in TYPES.items())
    return f"(SELECT {columns} FROM {place} (FILE_FORMAT => {text(file_format_of(account.schema))}))"


def both_ways(promise: str, expected: Any, query: str) -> tuple[Case, ...]:
    """The case for a COPY by column name, and the case for a SELECT from the file."""
    return (
        Case(
            f"COPY by column name {promise}", COPY, expected, lambda a: a.rows(query.format(table=by_name(a)))
        ),
        Case(
            f"SELECT from a stage {promise}",
            STAGED,
            expected,
            lambda a: a.rows(query.format(table=selected(a))),
        ),
    )


def bound(account: Account) -> list[tuple[Any, ...]]:
    """Each type that is bound, cast in the statement."""
    columns = "column1::VARCHAR, TO_VARCHAR(column2::NUMBER(38,10))"
    rest = "column3::BINARY, TO_VARCHAR(column4::TIMESTAMP_TZ, 'YYYY-MM-DD HH24:MI:SS')"
    return account.rows(
        f"SELECT {columns}, {rest} FROM VALUES (?, ?, ?, ?)",
        binds=[
            ("TEXT", "\\N"),
            ("TEXT", "-0.0000000001"),
            ("BINARY", "00FF"),
            ("TEXT", "0001-01-01 00:00:00+00:00"),
        ],
    )


CASES = (
    *both_ways("keeps the texts `\\N` and ''", LOADED, TEXTS),
    *both_ways("loads NaN and both infinities", [(INFINITE, True), (-INFINITE, True), (0.1, True)], FLOATS),
    *both_ways("loads dates of the years 1, 1500 and 9999 as they are", DAYS, DATES),
    *both_ways("loads instants of the years 1 and 9999 as they are", INSTANTS, TIMES),
    *both_ways("loads bytes, and no bytes, as they are", [(b"\x00\xff",), (b"",), (None,)], BYTES),
    Case("bound texts, numbers, bytes and times of VALUES are cast as written", "VALUES",
         [("\\N", "-0.0000000001", b"\x00\xff", "0001-01-01 00:00:00")], bound),
    Case("PARSE_JSON with 'd' keeps the last value of a key that is there twice", "PARSE_JSON", [("2",)],
         answers("""SELECT TO_VARCHAR(PARSE_JSON('{"a": 1, "a": 2}', 'd'):a)"""), [("1",)]),
    Case("PARSE_JSON without 'd' refuses a key that is there twice", "PARSE_JSON", Failed("100069"),
         answers("""SELECT PARSE_JSON('{"a": 1, "a": 2}')""")),
    Case("PARSE_JSON distinguishes JSON null from NULL", "PARSE_JSON", [(True, True)],
         answers("SELECT IS_NULL_VALUE(PARSE_JSON('null')), PARSE_JSON(NULL) IS NULL")),
    Case("a NUMBER holds 38 digits", "Numeric data types", [("9" * 38,)],
         answers(f"SELECT TO_VARCHAR({'9' * 38}::NUMBER(38,0))")),
    Case("equal texts differ in case and in blanks", "COLLATE", [(False, False)],
         answers("SELECT 'a' = 'A', 'a' = 'a '")),
)  # fmt: skip
