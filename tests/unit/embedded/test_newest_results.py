"""The emulator's memory of results stays bounded; the newest are kept."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pgsnow.embedded.snowflake.sessions.results import NewestResults


def result(bytes_: int) -> tuple[pa.Table, int]:
    return pa.table({"data": pa.array([b"x" * bytes_], pa.binary())}), 1


@given(sizes=st.lists(st.integers(0, 4_000), max_size=40), repeated=st.booleans())
def test_never_more_than_its_bytes_and_always_the_newest_that_fit(sizes: list[int], repeated: bool) -> None:
    kept = NewestResults(kept_bytes=5_000)
    for number, size in enumerate(sizes):
        kept[str(number % 3 if repeated else number)] = result(size)
        assert sum(table.nbytes for table, _ in kept.values()) <= 5_000
        assert list(kept)[-1] == str(number % 3 if repeated else number)


def test_a_result_that_is_too_large_is_not_kept() -> None:
    kept = NewestResults(kept_bytes=1_000)
    kept["large"] = result(2_000)
    kept["none"] = (None, 0)
    assert list(kept) == ["none"]
