"""Values come back as Snowflake gives them. Each scenario deviates on the stock emulator: once it does not, its
repair can go."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.integration.embedded.clients import Scenario, connect, outcome, rows, run

WIDE = 12345678901234567890123456789012345678


def null_timestamps(connection: Any) -> Any:
    return run(
        connection,
        "CREATE TABLE T (A TIMESTAMP_NTZ(6), B TIMESTAMP_TZ(6), C TIMESTAMP_LTZ(6))",
        "INSERT INTO T VALUES (NULL, NULL, NULL)",
        "SELECT * FROM T",
    )


def whole_numbers_of_38_digits(connection: Any) -> Any:
    return run(
        connection,
        "CREATE TABLE T (A NUMBER(38,0), B NUMBER, C INT)",
        f"INSERT INTO T VALUES ({WIDE}, {WIDE}, {WIDE})",
        "SELECT * FROM T",
    )


def numbers_in_json(connection: Any) -> Any:
    return rows(connection, "SELECT PARSE_JSON('[12345678901234567890.12345]')")


def a_row_with_a_key_that_is_there(connection: Any) -> Any:
    return run(
        connection,
        "CREATE TABLE T (I NUMBER(38,0), J NUMBER(38,0) UNIQUE, PRIMARY KEY (I))",
        "INSERT INTO T VALUES (1, 1)",
        "INSERT INTO T VALUES (1, 1)",
        "SELECT COUNT(*) FROM T",
    )


def a_decimal_bound_to_a_question_mark(connection: Any) -> Any:
    return rows(connection, "SELECT CAST(? AS NUMBER(10,4))", (Decimal("-1.2345"),))


def nulls_among_array_binds(connection: Any) -> Any:
    given = [
        (("TEXT", "1.50"), ("BINARY", b"\x00\xff"), ("TEXT", "0001-01-01T00:00:00")),
        (("TEXT", None), ("BINARY", None), ("TEXT", None)),
        (("TEXT", "0"), ("BINARY", b""), ("TEXT", "9999-12-31T23:59:59.999999")),
    ]
    connection.cursor().execute("CREATE TABLE T (N NUMBER(10,2), B BINARY, A TIMESTAMP_NTZ(6))")
    connection.cursor().executemany("INSERT INTO T VALUES (?, ?, ?)", given)
    fetched = rows(connection, "SELECT * FROM T ORDER BY A NULLS FIRST")
    return [(number, None if data is None else bytes(data), at) for number, data, at in fetched]


FAR = datetime(2599, 10, 6, 5, 7, 21, 102207)


def a_microsecond_far_away(connection: Any) -> Any:
    return rows(connection, "SELECT CAST(? AS TIMESTAMP_NTZ(6))", (FAR,))


def moments_by_a_format(connection: Any) -> Any:
    return run(
        connection,
        "CREATE TABLE T (D DATE, C TIME(6), A TIMESTAMP_NTZ(6))",
        "INSERT INTO T VALUES ('0044-03-05', '01:02:03.5', '2026-01-02 03:04:05')",
        "SELECT TO_VARCHAR(D, 'YYYY-MM-DD'), TO_VARCHAR(C, 'HH24:MI:SS.FF6'),"
        " TO_VARCHAR(A, 'YYYY-MM-DD HH24:MI:SS.FF6') FROM T",
    )


def trimmed_texts(connection: Any) -> Any:
    return rows(connection, "SELECT RTRIM('00a00', '0'), LTRIM('00a00', '0'), RTRIM(' a ')")


def hexadecimal_digits(connection: Any) -> Any:
    return rows(connection, "SELECT TO_NUMBER(SUBSTR(MD5('abc'), 1, 15), 'XXXXXXXXXXXXXXX')")


def a_text_without_its_columns_collation(connection: Any) -> Any:
    return run(
        connection,
        "CREATE TABLE T (K VARCHAR COLLATE 'en-ci')",
        "INSERT INTO T VALUES ('a'), ('B'), ('A')",
        "SELECT K FROM T WHERE COLLATE(K, '') < 'a' ORDER BY COLLATE(K, '')",
    )


def a_division_by_zero(connection: Any) -> Any:
    return rows(connection, "SELECT 1 / N FROM (SELECT 0 AS N)")


def a_text_that_is_no_number(connection: Any) -> Any:
    return rows(connection, "SELECT TO_NUMBER('abc')")


CASES: list[tuple[Scenario, Any]] = [
    (moments_by_a_format, [("0044-03-05", "01:02:03.500000", "2026-01-02 03:04:05.000000")]),
    (trimmed_texts, [("00a", "a00", " a")]),
    (hexadecimal_digits, [(0x900150983CD24FB,)]),
    (a_text_without_its_columns_collation, [("A",), ("B",)]),
    (a_division_by_zero, (100051, "22012")),
    (a_text_that_is_no_number, (100038, "22018")),
    (null_timestamps, [(None, None, None)]),
    (whole_numbers_of_38_digits, [(WIDE, WIDE, WIDE)]),
    (numbers_in_json, [("[12345678901234567890.12345]",)]),
    (a_row_with_a_key_that_is_there, [(2,)]),
    (a_decimal_bound_to_a_question_mark, [(Decimal("-1.2345"),)]),
    (
        nulls_among_array_binds,
        [
            (None, None, None),
            (Decimal("1.50"), b"\x00\xff", datetime(1, 1, 1)),
            (Decimal("0.00"), b"", datetime(9999, 12, 31, 23, 59, 59, 999999)),
        ],
    ),
    (a_microsecond_far_away, [(FAR,)]),
]
each = pytest.mark.parametrize(("scenario", "real"), CASES, ids=[case[0].__name__ for case in CASES])


@each
def test_as_on_snowflake(scenario: Scenario, real: Any, snowflake_env: Mapping[str, str]) -> None:
    assert outcome(scenario, snowflake_env, paramstyle="qmark") == real


@pytest.mark.thorough
@each
def test_the_stock_emulator_deviates(scenario: Scenario, real: Any, stock_env: Mapping[str, str]) -> None:
    assert outcome(scenario, stock_env, paramstyle="qmark") != real


def test_primary_key_columns_are_not_null(snowflake_env: Mapping[str, str]) -> None:
    with connect(snowflake_env) as connection:
        connection.cursor().execute("CREATE TABLE T (I NUMBER(38,0), S VARCHAR, PRIMARY KEY (I))")
        described = {row[0]: row[3] for row in rows(connection, "DESCRIBE TABLE T")}
    assert described == {"I": "N", "S": "Y"}
    assert outcome(lambda c: rows(c, "INSERT INTO T VALUES (NULL, 'x')"), snowflake_env) == (100072, "22000")


@pytest.mark.parametrize(
    "value",
    [
        datetime(1, 1, 1),
        datetime(1899, 12, 31, 23, 59, 59, 999999),
        datetime(1969, 12, 31, 23, 59, 59, 999999),
        datetime(1970, 1, 1),
        datetime(2262, 4, 11, 23, 47, 16, 854776),
        datetime(9999, 12, 31, 23, 59, 59, 999999),
    ],
)
def test_microseconds_of_all_years_are_exact(value: datetime, snowflake_env: Mapping[str, str]) -> None:
    text = value.isoformat(sep=" ").rjust(19, "0")
    with connect(snowflake_env) as connection:
        fetched = rows(
            connection,
            f"SELECT '{text}'::TIMESTAMP_NTZ(6), '{text}+00:00'::TIMESTAMP_TZ(6), NULL::TIMESTAMP_NTZ(6)",
        )
    assert fetched == [(value, value.replace(tzinfo=UTC), None)]


def test_a_failed_bind_is_one_error_and_no_retry(snowflake_env: Mapping[str, str]) -> None:
    """The connector rounds the last microsecond of 9999 into the year 10000, which nothing can hold."""
    last = datetime(9999, 12, 31, 23, 59, 59, 999999)
    assert outcome(lambda c: rows(c, "SELECT ?", (last,)), snowflake_env, paramstyle="qmark") == (
        100046,
        "22003",
    )
