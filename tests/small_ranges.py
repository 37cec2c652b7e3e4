"""Small key ranges, so that tables of a few hundred rows are compared in several ranges and levels."""

from __future__ import annotations

from pgsnow.sync.compare import compare, ranges


def make_ranges_small() -> None:
    """A first range has some hundred rows, and a range of more than 50 rows is split, for the rest of this process."""
    ranges.FIRST_ROWS, ranges.FIRST_ROWS_WITHOUT_INDEX = 400, 250  # type: ignore[attr-defined]
    compare.compare.__kwdefaults__ |= {"leaf": 50, "fan": 4}
