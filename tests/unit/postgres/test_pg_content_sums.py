"""The content hash of a read: the same text as Postgres makes of a count and two sums of 64-bit hashes."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pgsnow.postgres.incremental.content_hash import ROW_HASHES
from pgsnow.postgres.read.reader import ContentSums

INT8 = st.integers(-(2**63), 2**63 - 1)


@given(st.lists(st.lists(st.tuples(INT8, INT8), max_size=6), max_size=4))
def test_hashes_of_all_batches_are_added_up_exactly(batches: list[list[tuple[int, int]]]) -> None:
    """However large the hashes are, and however the rows are cut into batches."""
    sums = ContentSums()
    for rows in batches:
        columns = [pa.array([row[at] for row in rows], pa.int64()) for at in (0, 1)]
        sums.add(pa.record_batch(columns, names=list(ROW_HASHES)))
    every = [row for rows in batches for row in rows]
    assert str(sums) == f"{len(every)}:{sum(a for a, _ in every)}:{sum(b for _, b in every)}"
