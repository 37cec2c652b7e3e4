"""Row hashes, by which rows without a key are recognised."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from pgsnow.sync.pipeline.parquet import row_hashes

TYPES: list[tuple[pa.DataType, Any, Any]] = [
    (pa.int64(), 1, 2),
    (pa.float64(), 1.5, 1.25),
    (pa.bool_(), True, False),
    (pa.string(), "a", "b"),
    (pa.string(), "", None),
    (pa.binary(), b"\xff", b"\xfe"),
    (pa.decimal128(38, 10), Decimal("1.0000000001"), Decimal("1.0000000002")),
    (pa.date32(), date(1, 1, 1), date(9999, 12, 31)),
    (pa.time64("us"), time(0, 0, 0, 1), time(0)),
    (pa.timestamp("us"), datetime(1, 1, 1), datetime(9999, 12, 31)),
    (pa.timestamp("us", "UTC"), datetime(1, 1, 1, tzinfo=UTC), datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=UTC)),
]


def of(kind: pa.DataType, *values: Any, name: str = "C") -> list[str]:
    rows = pa.RecordBatch.from_arrays([pa.array(values, kind)], [name])
    hashes: list[str] = row_hashes(rows, [name]).to_pylist()
    return hashes


@pytest.mark.parametrize(("kind", "one", "other"), TYPES, ids=[str(kind) for kind, *_ in TYPES])
def test_equal_values_have_one_hash_and_others_another(kind: pa.DataType, one: Any, other: Any) -> None:
    first, second, again, nothing = of(kind, one, other, one, None)
    assert first == again != second
    assert (nothing == second) == (other is None)
    assert of(kind, one, name="D") != [first]


def test_what_is_null_leaves_no_trace_and_columns_do_not_run_together() -> None:
    kinds = {"A": pa.string(), "B": pa.string()}

    def two(a: str | None, b: str | None) -> str:
        rows = pa.RecordBatch.from_pydict({"A": [a], "B": [b]}, pa.schema(kinds))
        return str(row_hashes(rows, ["A", "B"])[0].as_py())

    assert two("a", None) == of(pa.string(), "a", name="A")[0]
    assert len({two("ab", "c"), two("a", "bc"), two("a;B=1:b", "c"), two(None, "abc"), two("abc", None)}) == 5
    assert len({two(None, None), two("", None), two("", "")}) == 3


def test_the_hash_of_a_row_never_changes() -> None:
    """It is kept in targets: a changed hash would load every row again."""
    assert of(pa.int64(), 1) == ["ca3505cd1f88fdb28a925a87fa2b3195"]
