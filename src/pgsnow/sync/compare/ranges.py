"""The first ranges of a comparison, and the ranges into which one is split."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from psycopg.sql import Composable

from pgsnow.model.key_range import Key, KeyRange
from pgsnow.model.plan import TablePlan

Fetch = Callable[[Composable], list[tuple[object, ...]]]
"""Runs a query in the source's snapshot, such as Snapshot.fetch."""
FIRST_ROWS = 65_536
"""About how many rows a first range holds."""
MOST_FIRST = 190
"""Largest number of first ranges."""


def first_ranges(
    fetch: Fetch, plan: TablePlan, rows: int, row_hash: Composable | None = None
) -> list[KeyRange]:
    """Ranges that cover all keys, the outer ones without a bound: of integers equally wide ones, of other keys between
    sampled keys. rows: an estimate of the table's rows; -1: unknown. row_hash: as in SourceSide. One or two short queries."""
    raise NotImplementedError


def between(bounds: Sequence[Key], within: KeyRange | None = None) -> list[KeyRange]:
    """The ranges between these ascending keys; the outer ones end where `within` does."""
    whole = within or KeyRange()
    edges = [whole.first, *bounds, whole.end]
    return [KeyRange(first, end) for first, end in pairwise(edges)]


def split(whole: KeyRange, parts: int) -> list[KeyRange] | None:
    """Equally wide parts of a range of one integer column with both bounds, at most `parts`. None for a range that
    cannot be split without a look at its keys."""
    raise NotImplementedError
