"""Values in the ledger that pgsnow did not write are noticed where they are read, whatever they are."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pgsnow.ledger.errors import UNREADABLE
from pgsnow.model.backfill import block_ranges, is_complete, ranges_between
from pgsnow.model.checkpoint import Checkpoint
from pgsnow.model.deferred_batch import StagedBatch
from pgsnow.model.evolution.source_definition import SourceDefinition

NAMES = st.sampled_from(
    ["mode", "x", "low", "seen", "trail", "cursor", "timeline", "system_identifier", "position", "unseen", "batch",
     "layout", "oid", "into", "key", "columns", "leaves", "settings"]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.just("watermark"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=18),
    max_leaves=20,
)


@given(VALUES)
def test_any_json_is_read_or_noticed(value: Any) -> None:
    """No other error, which would stop the other tables."""
    for kind in (Checkpoint, SourceDefinition, StagedBatch):
        try:
            kind.from_json(value)
        except UNREADABLE:
            continue


@given(st.lists(st.integers(1, 50), min_size=1, max_size=4), st.integers(1, 20), st.data())
def test_a_backfill_without_one_of_its_chunks_is_not_complete(
    sizes: list[int], limit: int, data: st.DataObject
) -> None:
    """Whichever is gone, the first and the last one too."""
    ranges = block_ranges(sizes, limit)
    assert is_complete(ranges)
    lost = data.draw(st.sampled_from(ranges))
    assert not is_complete([part for part in ranges if part != lost])
    assert is_complete(ranges_between([str(size) for size in sizes]))
