"""Values of the two ends compare by value: equal ones are equal, and a small change is seen."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal

import pytest

from pgsnow.model.types.mapping import Field
from pgsnow.model.types.overflow import Overflow
from pgsnow.model.types.type_rules import mapping_named
from pgsnow.operations.verify.canonical import from_postgres, from_snowflake, plain


def field(type_name: str) -> Field:
    return Field("c", "C", mapping_named(type_name))


@pytest.mark.parametrize(
    ("type_name", "text", "value"),
    [
        ("int8", "42", 42),
        ("numeric(12,2)", "1.50", Decimal("1.5")),
        ("float8", "NaN", float("nan")),
        ("float8", "-Infinity", float("-inf")),
        ("float4", "0.1", 0.1),
        ("json", '{"a": 1, "a": 2}', '{"a": 2}'),
        ("bool", "true", True),
        ("text", "", ""),
        ("bytea", "\\x00ff", b"\x00\xff"),
        ("timestamptz", "2026-01-01 00:00:00.000001+00", datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC)),
        (
            "timestamptz",
            "2026-01-01 00:00:00+00",
            datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))),
        ),
        ("jsonb", '{"a": 1.10, "b": [null]}', '{"b":[null],"a":1.1}'),
        ("jsonb", "12345678901234567890.123", "12345678901234567890.123"),
    ],
)
def test_the_same_value_is_equal(type_name: str, text: str, value: object) -> None:
    assert from_postgres(field(type_name), text) == from_snowflake(field(type_name), value)


@pytest.mark.parametrize(
    ("type_name", "text", "value"),
    [
        ("text", "", None),
        ("jsonb", "null", None),
        ("jsonb", "true", "1"),
        ("jsonb", '"1"', "1"),
        ("jsonb", "12345678901234567890.123", "12345678901234567000"),
        ("timestamptz", "2026-01-01 00:00:00.000001+00", datetime(2026, 1, 1, tzinfo=UTC)),
        ("timestamp", "infinity", datetime(9999, 12, 31)),
        ("numeric(12,2)", "NaN", Decimal(0)),
        (
            "numeric(38,0)",
            "12345678901234567890123456789012345678",
            Decimal("12345678901234567890123456789012345679"),
        ),
    ],
)
def test_another_value_is_not(type_name: str, text: str, value: object) -> None:
    assert from_postgres(field(type_name), text) != from_snowflake(field(type_name), value)


@pytest.mark.parametrize(
    ("type_name", "text", "clamped"),
    [
        ("date", "infinity", date(9999, 12, 31)),
        ("date", "0044-03-15 BC", date(1, 1, 1)),
        ("time", "24:00:00", time(23, 59, 59, 999_999)),
        ("timestamp", "-infinity", datetime(1, 1, 1)),
        ("timestamptz", "10000-01-01 00:00:00+00", datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC)),
    ],
)
def test_what_overflows_compares_as_what_was_made_of_it_and_as_nothing_else(
    type_name: str, text: str, clamped: object
) -> None:
    clamping, emptying = (replace(field(type_name), overflow=how) for how in (Overflow.CLAMP, Overflow.NULL))
    assert from_postgres(clamping, text) == from_snowflake(clamping, clamped)
    assert from_postgres(emptying, text) is None
    assert from_postgres(field(type_name), text) not in (None, clamped)


@pytest.mark.parametrize("how", list(Overflow))
@pytest.mark.parametrize(
    ("type_name", "text"), [("date", "9999-12-31"), ("time", "00:00:00"), ("jsonb", "1.5")]
)
def test_what_fits_is_compared_as_it_is_whatever_overflow_does(
    how: Overflow, type_name: str, text: str
) -> None:
    plain = field(type_name)
    assert from_postgres(replace(plain, overflow=how), text) == from_postgres(plain, text)


@pytest.mark.parametrize(
    ("type_name", "text", "shown"),
    [
        ("numeric(12,2)", "1.50", "1.50"),
        ("numeric(38,0)", "1000000000000000000000000000000", "1" + "0" * 30),
        ("int8", "42", "42"),
        ("bytea", "\\x00ff", "\\x00ff"),
        ("text", "(Decimal)", "(Decimal)"),
        ("timestamp", "2026-01-01 00:00:00.5", "2026-01-01 00:00:00.500000"),
        ("jsonb", '{"a": 12345678901234567890.123, "b": [null, true, "x"]}', None),
        ("jsonb", "7", "7"),
    ],
)
def test_a_value_is_shown_as_people_write_it(type_name: str, text: str, shown: str | None) -> None:
    """Without names of Python's types, and with every digit."""
    assert plain(from_postgres(field(type_name), text)) == (text if shown is None else shown)
