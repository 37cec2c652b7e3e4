"""The first ranges of a comparison, and the ranges into which one is split."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from pgsnow.model.key_range import Key, KeyRange
from pgsnow.model.plan import TablePlan
from pgsnow.model.types.canonical_text import canonical_text
from pgsnow.sync.compare.sides import SourceSide

FIRST_ROWS = 65_536
"""About how many rows a first range holds."""
FIRST_ROWS_WITHOUT_INDEX = 5_000
"""As FIRST_ROWS, for a key whose order no index has: each level costs a scan of the table, so there should be one."""
MOST_FIRST = 190
"""Largest number of first ranges."""
SAMPLED_ROWS = 20_000
SAMPLED_BLOCKS = 1_000
"""A sample of the table to find bounds has about that many rows, and about that many blocks, whichever is more."""
BLOCK = 8192
ROW_BYTES = 100
"""Assumed size of a row, where the number of rows is not known."""
SPARSE = 64
"""Integers are cut by value only if there is a row for each 64 of them; otherwise most ranges would be empty."""
HASHES = 16**32


def first_ranges(source: SourceSide, plan: TablePlan, rows: int | None = None) -> list[KeyRange]:
    """Ascending ranges that cover all keys, the outer ones without a bound: of integers equally wide ones, of other
    keys between sampled keys. rows: an estimate of the table's rows; None: the catalog's. Up to three short queries."""
    size = plan.source.total_bytes
    known = plan.source.estimated_rows if rows is None else rows
    expected = known if known > 0 else size // ROW_BYTES
    if not plan.key:
        return split(plan, KeyRange(), expected, _count(expected, FIRST_ROWS_WITHOUT_INDEX)) or [KeyRange()]
    each = FIRST_ROWS if source.ordered else FIRST_ROWS_WITHOUT_INDEX
    if _is_whole(plan) and source.ordered:
        if (ends := source.extremes()) is None:
            return [KeyRange()]
        first, last = ends
        if last - first < SPARSE * max(expected, each):
            return between(_evenly(first, last + 1, _count(expected, each)))
    blocks = max(1, size // BLOCK)
    percent = min(100.0, 100 * max(SAMPLED_ROWS / max(expected, 1), SAMPLED_BLOCKS / blocks))
    if expected <= each and percent == 100:
        return [KeyRange()]
    found, bounds = source.sampled(percent, MOST_FIRST)
    return between(_thinned(bounds, _count(max(expected, int(found * 100 / percent)), each)))


def between(bounds: Sequence[Key], within: KeyRange | None = None) -> list[KeyRange]:
    """The ranges between these ascending keys; the outer ones end where `within` does."""
    whole = within or KeyRange()
    edges = [whole.first, *(key for key in bounds if key != whole.first), whole.end]
    return [KeyRange(first, end) for first, end in pairwise(edges)]


def split(plan: TablePlan, whole: KeyRange, rows: int, parts: int) -> list[KeyRange] | None:
    """Equally wide parts of a range with both bounds, of a key that is one integer or the hash of a row. None for a
    range that cannot be split without a look at its keys. rows: how many rows it holds."""
    first, end = whole.first, whole.end
    if not plan.key:
        low, high = int(first[0], 16) if first else 0, int(end[0], 16) if end else HASHES
        return between([(f"{low + (high - low) * at // parts:032x}",) for at in range(1, parts)], whole)
    if first is None or end is None or not _is_whole(plan):
        return None
    low, high = int(first[0]), int(end[0])
    if high - low > SPARSE * rows:
        return None
    return between(_evenly(low, high, parts), whole)


def _is_whole(plan: TablePlan) -> bool:
    kind = canonical_text(plan.key[0]) if len(plan.key) == 1 else None
    return kind is not None and kind.whole


def _count(rows: int, each: int) -> int:
    return max(1, min(MOST_FIRST, -(-rows // each)))


def _evenly(low: int, high: int, parts: int) -> list[Key]:
    """Distinct integers, ascending, that cut [low, high) into at most this many parts."""
    found = {low + (high - low) * at // parts for at in range(1, parts)}
    return [(str(value),) for value in sorted(found - {low})]


def _thinned(bounds: Sequence[Key], parts: int) -> list[Key]:
    """About parts - 1 of these keys, spread evenly."""
    if len(bounds) < parts:
        return list(bounds)
    return [bounds[len(bounds) * at // parts] for at in range(1, parts)]
