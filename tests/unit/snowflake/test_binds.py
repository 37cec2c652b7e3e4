"""Bound values: text that says exactly the value, one type a column, pieces of a bounded size."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgsnow.snowflake.load import bind_values as binds
from pgsnow.snowflake.load.bind_values import as_text, bind_batches, bind_rows


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (0, "0"),
        (-(2**63), "-9223372036854775808"),
        (Decimal("1E-10"), "0.0000000001"),
        (Decimal("-0.10"), "-0.10"),
        (0.1, "0.1"),
        (5e-324, "5e-324"),
        (float("nan"), "NaN"),
        (float("-inf"), "-inf"),
        ("", ""),
        (date(1, 1, 1), "0001-01-01"),
        (time(23, 59, 59, 999_999), "23:59:59.999999"),
        (datetime(1, 1, 1), "0001-01-01T00:00:00"),
        (datetime(9999, 12, 31, 23, 59, 59, 1, tzinfo=UTC), "9999-12-31T23:59:59.000001+00:00"),
    ],
)
def test_text_says_the_value(value: Any, text: str) -> None:
    assert as_text(value) == text


@given(st.floats(allow_nan=False))
def test_a_float_comes_back_from_its_text(value: float) -> None:
    assert float(as_text(value)) == value


@given(st.decimals(allow_nan=False, allow_infinity=False, places=10, min_value=-(10**27), max_value=10**27))
def test_a_decimal_is_written_in_full(value: Decimal) -> None:
    text = as_text(value)
    assert Decimal(text) == value
    assert "E" not in text.upper()


def test_all_binds_of_a_column_are_of_one_type_also_where_they_are_null() -> None:
    rows = pa.record_batch(
        {
            "A": pa.array([None, 1], pa.int64()),
            "B": pa.array([b"\x00", None], pa.binary()),
            "C": pa.array(["", None]),
        }
    )
    assert bind_rows(rows) == [
        (("TEXT", None), ("BINARY", b"\x00"), ("TEXT", "")),
        (("TEXT", "1"), ("BINARY", None), ("TEXT", None)),
    ]


@pytest.mark.parametrize(("limit", "value"), [("MAX_BINDS", 20), ("MAX_ROWS", 7), ("MAX_BYTES", 100)])
def test_statements_are_bounded_and_no_row_is_lost_between_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(binds, limit, value)
    table = pa.table({"A": pa.array(range(100), pa.int64()), "B": ["x" * 10] * 100})
    pq.write_table(table, tmp_path / "part.parquet")
    pieces = list(bind_batches(tmp_path / "part.parquet"))
    assert len(pieces) > 1
    assert [row[0][1] for piece in pieces for row in piece] == [str(n) for n in range(100)]
