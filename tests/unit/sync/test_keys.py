"""A key's text is one that Postgres reads back, and rows are found again by it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pgsnow.sync.pipeline.row_keys import key_of, rows_with_keys


def test_each_kind_of_key_has_its_postgres_text() -> None:
    rows = pa.record_batch(
        {
            "n": pa.array([7]),
            "b": pa.array([b"\x00\xff"]),
            "t": pa.array([datetime(2026, 3, 1, 12, 30, tzinfo=UTC)], pa.timestamp("us", tz="UTC")),
            "d": pa.array([Decimal("1.50")]),
            "f": pa.array([True]),
            "z": pa.array([None], pa.string()),
        }
    )
    assert key_of(rows, 0, ["n", "b", "t", "d", "f", "z"]) == {
        "n": "7",
        "b": "\\x00ff",
        "t": "2026-03-01 12:30:00+00",
        "d": "1.50",
        "f": "true",
        "z": None,
    }


@given(st.lists(st.tuples(st.integers(0, 9), st.text(max_size=2)), max_size=30), st.data())
def test_exactly_the_rows_with_the_keys_are_found(pairs: list[tuple[int, str]], data: st.DataObject) -> None:
    rows = pa.record_batch(
        {"a": pa.array([a for a, _ in pairs], pa.int64()), "b": pa.array([b for _, b in pairs], pa.string())}
    )
    wanted = data.draw(st.lists(st.sampled_from(pairs), max_size=5)) if pairs else []
    keys = [{"a": str(a), "b": b} for a, b in wanted]
    assert rows_with_keys(rows, keys, ["a", "b"]) == [i for i, pair in enumerate(pairs) if pair in wanted]
