"""Values as text that Postgres reads back: exact for what Python knows, and for what it does not."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgsnow.postgres import sql
from pgsnow.postgres.sql import text_of_value
from pgsnow.postgres.text_values import FIRST_DAY, LAST_DAY, text_at

OFFSET = 946_684_800_000_000
SMALLEST, LARGEST = -211_813_488_000_000_000, 9_223_371_331_199_999_999
"""Postgres's own range of timestamps: microseconds since 2000, 4714-11-24 BC to 294276-12-31."""


def arrived(sent: int, bits: int, offset: int) -> int:
    """What the driver makes of what Postgres sent: it adds the offset and lets the bits overflow."""
    half: int = 2 ** (bits - 1)
    return (sent + offset + half) % (2 * half) - half


def moment(sent: int) -> pa.Array:
    return pa.array([arrived(sent, 64, OFFSET)], pa.int64()).view(pa.timestamp("us"))


def day(sent: int) -> pa.Array:
    return pa.array([arrived(sent, 32, 10_957)], pa.int32()).view(pa.date32())


@given(st.integers(SMALLEST, LARGEST) | st.sampled_from([2**63 - 1, -(2**63)]))
def test_a_moment_outside_the_years_1_to_9999_never_arrives_inside_of_them(sent: int) -> None:
    """So a range check on what arrived is enough to find it, wrapped around or not."""
    first, last = FIRST_DAY * 86_400_000_000 - OFFSET, (LAST_DAY + 1) * 86_400_000_000 - 1 - OFFSET
    inside = FIRST_DAY * 86_400_000_000 <= arrived(sent, 64, OFFSET) < (LAST_DAY + 1) * 86_400_000_000
    assert inside == (first <= sent <= last)


@given(st.integers(-(2**31), 2**31 - 1))
def test_nor_does_a_date(sent: int) -> None:
    inside = FIRST_DAY <= arrived(sent, 32, 10_957) <= LAST_DAY
    assert inside == (FIRST_DAY - 10_957 <= sent <= LAST_DAY - 10_957)


@given(st.datetimes())
def test_moments_that_python_knows(value: datetime) -> None:
    sent = (value - datetime(2000, 1, 1)) // timedelta(microseconds=1)
    assert text_at(moment(sent), 0) == value.isoformat(" ")


@given(st.dates())
def test_dates_that_python_knows(value: date) -> None:
    assert text_at(day((value - date(2000, 1, 1)).days), 0) == value.isoformat()


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (2**63 - 1, "infinity"),
        (-(2**63), "-infinity"),
        (LARGEST, "294276-12-31 23:59:59.999999"),
        (SMALLEST, "4714-11-24 00:00:00 BC"),
        (-63_082_281_600_000_000 - 1, "0001-12-31 23:59:59.999999 BC"),
    ],
)
def test_moments_that_python_does_not_know(sent: int, text: str) -> None:
    assert text_at(moment(sent), 0) == text


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (2**31 - 1, "infinity"),
        (-(2**31), "-infinity"),
        (2_145_031_948, "5874897-12-31"),
        (-2_451_545, "4714-11-24 BC"),
    ],
)
def test_dates_that_python_does_not_know(sent: int, text: str) -> None:
    assert text_at(day(sent), 0) == text


def test_midnight_at_the_end_of_a_day() -> None:
    assert text_at(pa.array([86_400_000_000], pa.int64()).view(pa.time64("us")), 0) == "24:00:00"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        (7, "7"),
        (True, "true"),
        (b"\x00\xff", "\\x00ff"),
        (Decimal("1.50"), "1.50"),
        (0.1, "0.1"),
        ("a'b", "a'b"),
        (time(1, 2, 3, 4), "01:02:03.000004"),
        (datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), "2026-01-02 03:04:05.000006+00"),
        (datetime(2026, 1, 2, 3, 4, 5), "2026-01-02 03:04:05"),
    ],
)
def test_values_out_of_arrow(value: object, text: str | None) -> None:
    assert text_of_value(value) == text


def test_bytes_that_are_not_utf8_are_shown_and_compared_as_they_are() -> None:
    """In a rejected row's key, and in the cursor of a read in order."""
    broken = pa.array([b"caf\xe9 \xc3\xa9"]).view(pa.string())
    assert text_at(broken, 0) == "caf\\xe9 é"
    assert sql.text_of(sql.literal("caf\udce9")) == r"E'\x63\x61\x66\xe9'"
    assert sql.text_of(sql.literal("it's")) == "'it''s'"
