"""Chunks cover a table once, and none is larger than it may be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pgsnow.model.backfill import Blocks, block_ranges, ranges_between


@given(st.lists(st.integers(0, 400), min_size=1, max_size=8), st.integers(1, 300))
def test_chunks_cover_every_block_once_and_keep_to_the_limit(sizes: list[int], limit: int) -> None:
    chunks = block_ranges(sizes, limit)
    assert chunks[0].first == 0
    assert [c.end for c in chunks] == [*(c.first for c in chunks[1:]), None]
    assert all(c.end is None or c.first < c.end for c in chunks)
    assert chunks[-1].first <= max(0, max(sizes) - 1)
    for chunk in chunks:
        end = max(sizes) if chunk.end is None else chunk.end
        blocks = [max(0, min(size, end) - chunk.first) for size in sizes]
        assert sum(blocks) <= limit or max(blocks) == 1


@given(st.integers(0, 10_000), st.integers(1, 300))
def test_one_table_is_cut_into_as_few_chunks_as_can_be(size: int, limit: int) -> None:
    assert len(block_ranges([size], limit)) == max(1, -(-size // limit))


def test_a_tree_is_cut_side_by_side() -> None:
    assert block_ranges([12, 4, 4], 9) == (Blocks(0, 3), Blocks(3, 10), Blocks(10, None))


@given(st.lists(st.integers(-50, 50), unique=True).map(sorted), st.integers(-60, 60))
def test_every_key_is_in_one_range(bounds: list[int], key: int) -> None:
    found = [
        keys
        for keys in ranges_between([str(bound) for bound in bounds])
        if (keys.first is None or int(keys.first) <= key) and (keys.end is None or key < int(keys.end))
    ]
    assert len(found) == 1
