"""Comparison of ranges within a run, and what differs in them: real differences, rows in flight, rows that stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from psycopg.sql import SQL, Composable, Literal

from pgsnow.model.config.options import Deletes
from pgsnow.model.key_range import DifferenceKind, Key, KeyDifference, KeyRange
from pgsnow.model.types.content_cell import ContentCell, content_cells
from pgsnow.postgres import sql
from pgsnow.postgres.compare.content import row_hash
from pgsnow.postgres.read.snapshot import Snapshot
from pgsnow.sync.compare.compare import compare
from pgsnow.sync.compare.sides import Side, SourceSide
from pgsnow.sync.pipeline.row_keys import Key as SourceKey
from pgsnow.sync.table.context import RunContext
from pgsnow.sync.table.deletes.first_level import (
    held_values,
    later_snapshot,
    leave_out,
    rejected_keys,
    still_there,
)
from pgsnow.sync.table.deletes.search import source_key

AT_ONCE = 200
"""Keys in one statement."""
EPOCH = 2**32


@dataclass(slots=True)
class FoundDifferences:
    """Differences of the ranges that one run has compared. rows, ranges: of the source. kept: rows that only the target
    has, and that stay on purpose. in_flight: differing keys whose rows changed after the last read."""

    real: list[KeyDifference] = field(default_factory=list)
    suspects: list[Key] = field(default_factory=list)
    repaired: int = 0
    rows: int = 0
    ranges: int = 0
    kept: int = 0
    in_flight: int = 0


def sides_of(
    run: RunContext, snap: Snapshot, *, only: Sequence[SourceKey] | None = None
) -> tuple[SourceSide, Side]:
    """Source and target, with the contents of their rows and without rejected rows. only: leave out all other keys."""
    without = rejected_keys(run)
    cells, _ = cells_of(run)
    encoding = str(snap.fetch(SQL("select getdatabaseencoding()::text"))[0][0])
    conditions: list[Composable] = leave_out(run.plan, without)
    if only is not None:
        conditions.append(SQL("({})").format(SQL(" or ").join(sql.by_key(run.plan, key) for key in only)))
    source = SourceSide(
        snap,
        run.plan,
        row_hash=row_hash(cells, encoding) if cells else None,
        conditions=conditions,
    )
    target = run.destination.side(
        without=held_values(run.plan, without),
        only=None if only is None else held_values(run.plan, only),
        cells=cells,
        octets=encoding == "SQL_ASCII",
    )
    return source, target


def cells_of(run: RunContext) -> tuple[tuple[ContentCell, ...], tuple[str, ...]]:
    """The columns whose contents are compared, and the names of the others: those that the transform changes, and those
    of types that both sides do not write alike."""
    rule = run.plan.config.transform
    changed = {*rule.sensitive, *rule.cast} if rule else set()
    output = [f for f in run.plan.output if f.source not in changed]
    cells, left = content_cells(output, run.claim.target_columns or {})
    return cells, tuple(sorted({*changed, *(f.source for f in left)}))


def classify(
    run: RunContext, snap: Snapshot, differing: Sequence[KeyDifference], found: FoundDifferences
) -> None:
    """Sort the differences into real ones, rows in flight, suspects, and rows that stay on purpose."""
    in_source = [d for d in differing if d.kind in (DifferenceKind.MISSING, DifferenceKind.CHANGED)]
    moving = in_flight(run, snap, [source_key(run.plan, one.key) for one in in_source])
    found.in_flight += len(moving)
    found.real += [one for at, one in enumerate(in_source) if at not in moving]
    found.real += [one for one in differing if one.kind is DifferenceKind.DUPLICATE]
    ghosts = [one.key for one in differing if one.kind is DifferenceKind.GHOST]
    if run.deletes.deletes is Deletes.OFF:
        found.kept += len(ghosts)
    else:
        found.suspects += ghosts


def in_flight(run: RunContext, snap: Snapshot, keys: Sequence[SourceKey]) -> set[int]:
    """Indexes of those keys whose row was written after the last read, or may have been: the next read finds it. A row
    that is gone meanwhile is in flight, too."""
    read = run.claim.checkpoint
    if not keys or read is None:
        return set()
    there = still_there(snap, run.plan, keys)
    newer: set[int] = set()
    for start in range(0, len(keys), 200):
        parts = [
            SQL("select {} where exists (select from {} where {} and {})").format(
                Literal(start + at),
                sql.table(run.plan),
                sql.by_key(run.plan, key),
                SQL("mod(xmin::text::bigint - {} + {}, {}) < {}").format(
                    Literal(read.x % EPOCH), Literal(EPOCH), Literal(EPOCH), Literal(snap.xmax - read.x)
                ),
            )
            for at, key in enumerate(keys[start : start + 200])
        ]
        newer |= {int(str(number)) for (number,) in snap.fetch(SQL(" union all ").join(parts))}
    return newer | (set(range(len(keys))) - there)


def still_different(run: RunContext, real: Sequence[KeyDifference]) -> list[KeyDifference]:
    """Those of these differences that a later comparison of their keys finds again."""
    again = FoundDifferences()
    wanted = {one.key for one in real}
    with later_snapshot(run) as snap:
        source, target = sides_of(run, snap, only=[source_key(run.plan, key) for key in wanted])
        found = [one for one in compare(source, target, run.plan, [KeyRange()]) if one.key in wanted]
        classify(run, snap, found, again)
        again.real += [KeyDifference(DifferenceKind.GHOST, key) for key in again.suspects]
    return again.real
