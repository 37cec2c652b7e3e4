"""Batches that wait are never written over by later ones of the same run, and rows are counted on over all of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pgsnow.model.deferred_batch import Layout, StagedBatch
from pgsnow.model.table import TargetName
from pgsnow.sync.load.deferred import next_batch, next_row

LAYOUT = Layout(TargetName("D", "S", "T"), ())


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 12), st.integers(1, 50)), max_size=8))
def test_names_and_rows_of_what_is_staged_next_are_above_all_that_waits(
    waiting: list[tuple[int, int, int]],
) -> None:
    """A run may be at its second try, after the table was altered under the first."""
    batches, rows = [], 0
    for fence, number, count in waiting:
        batches.append(
            StagedBatch(
                f"a-1/{fence}-{number}",
                fence,
                count,
                count,
                rows,
                "stage",
                Layout.from_json(LAYOUT.to_json()),
            )
        )
        rows += count
    assert next_row(batches) == rows
    ours = [number for fence, number, _ in waiting if fence == 2]
    assert next_batch(batches, 2) == max(ours, default=-1) + 1
