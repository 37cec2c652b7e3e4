"""Ranges of a table's key, and what is known about the rows in one: their number and sums over them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

Key = tuple[str, ...]
"""The canonical text of each key column's value as loaded, in the order of the key's columns. It is the same text on
both sides. (model/types/canonical_text.py)"""

MIXING_PRIMES = (2147483647, 2147483629, 1073741789)
MIXING_OFFSET = 1013904223
"""Constants with which keys of integers are mixed, by both sides: all products stay below 2^63."""
MIXED_TOGETHER = 3
"""Keys of more integers are hashed: each column more doubles the expression that mixes them."""


@dataclass(frozen=True, slots=True)
class KeyRange:
    """The keys from `first`, inclusive, to `end`, exclusive; None: no bound on that side. Columns compare from the
    first to the last, each in the order of its type."""

    first: Key | None = None
    end: Key | None = None


@dataclass(frozen=True, slots=True)
class RangeDigest:
    """The number of rows in a range, and sums over them, which both sides compute alike. Two sides with the same digest
    hold the same keys (with content: the same rows), except with a probability of about 2^-60."""

    rows: int = 0
    sums: tuple[int, ...] = ()

    def __add__(self, other: RangeDigest) -> RangeDigest:
        """The digest of the rows of both. A digest of no rows may have no sums."""
        return RangeDigest(self.rows + other.rows, _added(self.sums, other.sums, 1))

    def __sub__(self, other: RangeDigest) -> RangeDigest:
        """The digest without the rows of `other`, which are among its own."""
        return RangeDigest(self.rows - other.rows, _added(self.sums, other.sums, -1))


def _added(these: tuple[int, ...], those: tuple[int, ...], sign: int) -> tuple[int, ...]:
    if not (these and those):
        return these or tuple(sign * value for value in those)
    return tuple(one + sign * other for one, other in zip(these, those, strict=True))


class DifferenceKind(StrEnum):
    """missing: the source has the key, the target does not. ghost: the target has it, the source does not. changed:
    both have it, with different contents. duplicate: the target has it more often than the source."""

    MISSING = "missing"
    GHOST = "ghost"
    CHANGED = "changed"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True)
class KeyDifference:
    """One key in which two sides differ."""

    kind: DifferenceKind
    key: Key
    rows: int = 1
    """How many rows are missing, are ghosts, or are there too often."""


@dataclass(slots=True)
class ComparisonCounts:
    """Cost of a comparison so far, and the number of differences it found."""

    source_rows: int = 0
    target_rows: int = 0
    ranges: int = 0
    """Ranges whose digests were compared, on all levels."""
    equal_ranges: int = 0
    levels: int = 0
    source_statements: int = 0
    target_statements: int = 0
    keys_read: int = 0
    """Keys of leaves that were fetched from both sides."""
    differences: dict[DifferenceKind, int] = field(default_factory=dict)
    """Rows by kind of difference."""
