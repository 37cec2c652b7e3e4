"""Search for the keys that the target has and the source does not, by ranges of keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from pgsnow.model.comparison.sweep import FirstLevel
from pgsnow.model.errors import PgsnowError
from pgsnow.model.key_range import DifferenceKind, Key, KeyRange, RangeDigest
from pgsnow.model.plan import TablePlan
from pgsnow.postgres.read.snapshot import Snapshot
from pgsnow.sync.compare.compare import compare
from pgsnow.sync.compare.sides import Row, Side, SourceSide
from pgsnow.sync.pipeline.key_spool import KeySpool
from pgsnow.sync.pipeline.row_keys import Key as SourceKey
from pgsnow.sync.table.context import RunContext
from pgsnow.sync.table.deletes.first_level import (
    MOST_REJECTED,
    first_level,
    held_values,
    later_snapshot,
    leave_out,
    still_there,
)
from pgsnow.sync.table.deletes.guards import check_deletes

MOST_MISSING = 10_000
"""Rows that the target lacks, of which it is asked whether the read should have found them."""


@dataclass(slots=True)
class Findings:
    """Result of a search.

    gone: keys to remove. rows: rows of the target with these keys. expected: how many there are, by the counts. of: all
    rows of the target. closed: rejected rows
    that are gone from the source. missing: rows that the read should have found. certain: nothing is left to be done.
    obstacle: why the search could not be made."""

    gone: KeySpool
    rows: int = 0
    expected: int = 0
    of: int = 0
    ranges: int = 0
    duplicates: int = 0
    closed: list[SourceKey] = field(default_factory=list)
    missing: list[SourceKey] = field(default_factory=list)
    certain: bool = True
    obstacle: str = ""

    @property
    def is_complete(self) -> bool:
        """True if all rows that the counts tell of were found and removed."""
        return self.certain and not self.obstacle and self.rows + self.duplicates >= self.expected


class KnownDigests:
    """A side of which the digests of some ranges are known."""

    def __init__(self, side: Side, known: dict[KeyRange, RangeDigest]) -> None:
        self._side = side
        self._known = known
        self.bounds, self.ordered = side.bounds, side.ordered
        self.statements = 0

    def digests(self, ranges: Sequence[KeyRange]) -> list[RangeDigest]:
        if all(each in self._known for each in ranges):
            return [self._known[each] for each in ranges]
        self.statements += 1
        return self._side.digests(ranges)

    def rows(self, ranges: Sequence[KeyRange]) -> Iterator[Row]:
        return self._side.rows(ranges)


def find_by_ranges(run: RunContext, found: Findings) -> None:
    """Compare the ranges that were counted in the read's snapshot with the target's; search those that differ in a
    later snapshot. Raises DeletesUnconfirmed before any key is fetched."""
    level = run.counted[-1] if run.counted else None
    if isinstance(level, PgsnowError):
        raise level
    with ExitStack() as stack:
        snap = None
        if (
            level is None
        ):  # the target may lack rows of the read's snapshot, so its counts would prove nothing
            snap = stack.enter_context(later_snapshot(run))
            level = first_level(run, snap)
        if not level.ranges:
            found.obstacle = (
                f"deleted rows are not searched for while more than {MOST_REJECTED} rows are rejected:"
                f" see pgsnow errors list --table {run.claim.table}"
            )
            return
        values = held_values(run.plan, level.without)
        target = run.destination.side(without=values)
        digests = dict(zip(level.ranges, target.digests(level.ranges), strict=True))
        found.ranges, found.of = len(level.ranges), sum(digest.rows for digest in digests.values())
        unequal = {
            each: digest
            for each, digest in zip(level.ranges, level.digests, strict=True)
            if digest != digests[each] and (digest.rows or digests[each].rows)
        }
        found.expected = sum(max(0, digests[each].rows - digest.rows) for each, digest in unequal.items())
        is_empty = not any(digest.rows for digest in level.digests)
        check_deletes(run, found.expected, found.of, source_is_empty=is_empty)
        if not unequal and not level.without:
            return
        snap = snap or stack.enter_context(later_snapshot(run, level.lsn))
        if unequal:
            source = SourceSide(snap, run.plan, conditions=leave_out(run.plan, level.without))
            search(run, found, source, KnownDigests(target, digests), list(unequal), snap)
        find_rejected(run, found, level, snap)


def search(
    run: RunContext,
    found: Findings,
    source: Side,
    target: Side,
    unequal: Sequence[KeyRange],
    snap: Snapshot,
) -> None:
    """Compare these ranges, whose digests differ, down to the keys. The source's digests are taken again, in its later
    snapshot: a range that had no row in the read's may have one now."""
    comparison = compare(source, target, run.plan, unequal)
    missing: list[Key] = []
    for difference in comparison:
        match difference.kind:
            case DifferenceKind.GHOST:
                found.gone.add(difference.key)
                found.rows += difference.rows
            case DifferenceKind.DUPLICATE:
                found.duplicates += difference.rows
            case DifferenceKind.MISSING if len(missing) < MOST_MISSING:
                missing.append(difference.key)
            case _:
                pass
    found.ranges += comparison.counts.ranges
    keys = [source_key(run.plan, key) for key in missing]
    read = run.claim.checkpoint
    if keys and run.plan.has_xmin and read is not None:
        found.missing = [keys[at] for at in sorted(still_there(snap, run.plan, keys, older_than=read.x))]


def find_rejected(run: RunContext, found: Findings, level: FirstLevel, snap: Snapshot) -> None:
    """Rejected rows are left out of the comparison, so each is looked at by itself: whether the source still has it,
    and if not, whether the target has an older version."""
    there = still_there(snap, run.plan, level.without)
    found.closed = [dict(key) for at, key in enumerate(level.without) if at not in there]
    values = held_values(run.plan, found.closed)
    if values:
        for key, _ in run.destination.side(only=values).rows([KeyRange()]):
            found.gone.add(key)
            found.rows, found.of, found.expected = found.rows + 1, found.of + 1, found.expected + 1


def source_key(plan: TablePlan, key: Key) -> SourceKey:
    """The key as texts of the source's columns."""
    return {
        f.source: f"\\x{text}" if f.type.snowflake.startswith("BINARY") else text
        for f, text in zip(plan.key, key, strict=True)
    }
