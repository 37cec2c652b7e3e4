"""The rows of a chunk, as columns of sync_chunks."""

from __future__ import annotations

from typing import Any

from pgsnow.model.backfill import Blocks, Keys, Range


def columns_of(number: int, of: Range) -> dict[str, Any]:
    """What `begin_backfill` takes of one chunk."""
    if isinstance(of, Keys):
        return {"number": number, "first_key": of.first, "end_key": of.end}
    return {"number": number, "first": of.first, "end": of.end}


def range_of(
    first_block: int | None, end_block: int | None, first_key: str | None, end_key: str | None
) -> Range:
    """first_block is NULL for ranges of keys alone."""
    return Keys(first_key, end_key) if first_block is None else Blocks(first_block, end_block)
