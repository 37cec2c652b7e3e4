"""Comparison of two sides by ranges of their keys: only ranges with different digests are split, and only the keys of
small ranges that still differ are fetched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pgsnow.model.key_range import ComparisonCounts, KeyDifference, KeyRange, RangeDigest
from pgsnow.model.plan import TablePlan
from pgsnow.sync.compare.sides import Side

LEAF = 10_000
"""A range with at most this many rows on each side is not split."""
FAN = 16
"""Parts into which a range is split."""


@dataclass(slots=True)
class Comparison:
    """The differences, found while they are iterated over, once. `counts` grows meanwhile and is complete afterwards.
    Memory is bounded whatever the tables' sizes."""

    found: Iterator[KeyDifference]
    counts: ComparisonCounts = field(default_factory=ComparisonCounts)

    def __iter__(self) -> Iterator[KeyDifference]:
        return self.found


def compare(
    source: Side,
    target: Side,
    plan: TablePlan,
    first: Sequence[KeyRange],
    *,
    source_first: Sequence[RangeDigest] | None = None,
    leaf: int = LEAF,
    fan: int = FAN,
) -> Comparison:
    """Compare the ranges of `first`, which are disjoint and ascending. source_first: their digests on the source's
    side, if they are already known (of the snapshot of a read). Levels go breadth-first: one digest statement a side a
    level. The iterator raises what the sides raise."""
    raise NotImplementedError
