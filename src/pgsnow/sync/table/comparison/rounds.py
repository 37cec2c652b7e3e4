"""Continuous comparison: a few ranges of a table's keys a run, until each was compared once in `verify_every`.

It follows a read that is loaded completely. A row that changed after that read is no difference: the next read loads it.
A key that only the target has is a difference if the next search for deleted rows leaves it. docs/verify.md
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from psycopg.sql import SQL, Literal

from pgsnow.ledger.claim import Claim
from pgsnow.ledger.comparison.certificates import Bound
from pgsnow.model.comparison.certificate import (
    BY_SCHEDULE,
    PACE,
    SHOWN_KEYS,
    Certificate,
    ComparisonMethod,
    OpenDifferences,
    Round,
    Verification,
    seconds,
)
from pgsnow.model.comparison.continuous import is_due
from pgsnow.model.config.options import Deletes
from pgsnow.model.errors import DeletesUnconfirmed
from pgsnow.model.key_range import DifferenceKind, Key, KeyDifference, KeyRange
from pgsnow.model.sentences import counted
from pgsnow.model.types.content_cell import content_cells
from pgsnow.postgres import sql
from pgsnow.postgres.compare.content import content_pieces as source_pieces
from pgsnow.postgres.read.snapshot import Snapshot
from pgsnow.snowflake.sql.compare_content import content_pieces as target_pieces
from pgsnow.sync.compare.compare import compare
from pgsnow.sync.compare.ranges import between, first_ranges
from pgsnow.sync.compare.sides import SourceSide
from pgsnow.sync.pipeline.confidential import REDACTED
from pgsnow.sync.pipeline.row_keys import Key as SourceKey
from pgsnow.sync.table.comparison.key_order import bounds_beyond
from pgsnow.sync.table.comparison.repair import load_again, remove_ghosts
from pgsnow.sync.table.context import RunContext
from pgsnow.sync.table.deletes.first_level import (
    MOST_REJECTED,
    held_values,
    later_snapshot,
    leave_out,
    rejected_keys,
    still_there,
)
from pgsnow.sync.table.deletes.guards import check_deletes
from pgsnow.sync.table.deletes.search import source_key

AT_ONCE = 4
"""Ranges that are compared together, with one statement a side and level."""
MOST_SUSPECTS = 1_000
MOST_FOUND = 10_000
"""Differing keys of one run that are looked at one by one."""
EPOCH = 2**32


@dataclass(slots=True)
class Found:
    """Differences of the ranges that one run has compared. rows, ranges: of the source. kept: rows that only the target
    has, and that stay on purpose. in_flight: differing keys whose rows changed after the last read."""

    real: list[KeyDifference] = field(default_factory=list)
    suspects: list[Key] = field(default_factory=list)
    repaired: int = 0
    rows: int = 0
    ranges: int = 0
    kept: int = 0
    in_flight: int = 0


def continue_round(run: RunContext) -> None:
    """Compare the ranges that are due, for `verify_budget_seconds` at most, and repair what differs with
    `verify_repair`; record the progress. Nothing is compared while rows are staged, or while everything is about to be
    read. Idempotent. Raises what reading, comparing and loading raise, and LeaseLost."""
    recorder, claim, now = run.recorder, run.claim, run.claim.granted_at
    awake = bool(recorder.load_units or recorder.replaced or recorder.ranges_compared)
    if not is_due(run.plan, claim.verification, claim.sweep, now, awake=awake):
        return
    verification = Verification.from_json(claim.verification)
    if run.claim.checkpoint is None or run.claim.staged or run.table.because is not None:
        return
    run.destination.prepare()
    if run.table.because is not None:
        return
    with recorder.timed("verify"):
        with later_snapshot(run) as snap:
            under_way, bounds, begins = round_of(run, snap, verification)
            found, done = compare_due(run, snap, under_way, between(bounds), now)
            under_way = settle_suspects(run, snap, under_way, found)
        finish(run, verification, under_way, bounds if begins else None, found, done)


def round_of(run: RunContext, snap: Snapshot, verification: Verification) -> tuple[Round, list[Bound], bool]:
    """The round under way, the bounds between its ranges, and whether the bounds are new: a round begins, or the range
    that it has reached, the last one, has grown and is cut again."""
    estimate = max(run.table.rows or 0, run.claim.target.rows or 0, run.plan.source.estimated_rows)
    known = verification.round
    bounds = run.ledger.certificates.bounds(run.claim.table) if known else []
    if known is None or known.shape != run.plan.shape or len(bounds) + 1 != known.of:
        ranges = first_ranges(snap.fetch, run.plan, estimate)
        moment = moment_of(run.claim.granted_at)
        so_far = Certificate(ComparisonMethod.CONTENT, BY_SCHEDULE, moment, moment)
        new = [one.first for one in ranges if one.first is not None]
        return Round(so_far, 0, len(new) + 1, run.plan.shape), new, True
    if known.done == known.of - 1 and bounds:
        grown = bounds_beyond(run.plan, first_ranges(snap.fetch, run.plan, estimate), bounds[-1])
        if len(grown) > 1:
            return replace(known, of=known.of + len(grown)), [*bounds, *grown], True
    return known, bounds, False


def compare_due(
    run: RunContext, snap: Snapshot, under_way: Round, ranges: Sequence[KeyRange], now: float
) -> tuple[Found, int]:
    """Compare the next ranges; what was found, and how many ranges are done now."""
    config, began = run.plan.config, time.monotonic()
    planned = min((now - seconds(under_way.so_far.began_at)) / (config.verify_every * PACE), 1.0)
    wanted = min(max(math.ceil(planned * under_way.of), under_way.done + 1), under_way.of)
    without, found, done = rejected_keys(run), Found(), under_way.done
    if len(without) > MOST_REJECTED:
        run.recorder.events.append(
            f"verify_every: nothing is compared while {len(without)} rows are rejected"
        )
        return found, done
    cells, _ = cells_of(run)
    encoding = str(snap.fetch(SQL("select getdatabaseencoding()::text"))[0][0])
    source = SourceSide(
        snap,
        run.plan,
        content=source_pieces(cells, snap.connection.server_version, encoding),
        conditions=leave_out(run.plan, without),
    )
    target = run.destination.side(
        without=held_values(run.plan, without),
        content=target_pieces(cells, octets=encoding == "SQL_ASCII"),
    )
    while done < wanted:
        some = ranges[done : min(done + AT_ONCE, wanted)]
        comparison = compare(source, target, run.plan, some)
        differing = list(comparison)
        classify(run, snap, differing, found)
        found.rows += comparison.counts.source_rows
        found.ranges += len(some)
        done += len(some)
        too_many = len(found.real) + len(found.suspects) > MOST_FOUND
        if too_many or run.stop.is_set() or time.monotonic() - began >= config.verify_budget_seconds:
            break
    run.recorder.tell("compared", rows=found.rows)
    return found, done


def cells_of(run: RunContext) -> tuple[tuple[object, ...], tuple[str, ...]]:
    """The columns whose contents are compared, and the names of the others: those that the transform changes, and those
    of types that both sides do not write alike."""
    rule = run.plan.config.transform
    changed = {*rule.sensitive, *rule.cast} if rule else set()
    output = [f for f in run.plan.output if f.source not in changed]
    cells, left = content_cells(output, run.claim.target_columns or {})
    return cells, tuple(sorted({*changed, *(f.source for f in left)}))


def classify(run: RunContext, snap: Snapshot, differing: Sequence[KeyDifference], found: Found) -> None:
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


def settle_suspects(run: RunContext, snap: Snapshot, under_way: Round, found: Found) -> Round:
    """Keys that only the target had at an earlier comparison: those that a search for deleted rows has left since are
    differences. New ones make such a search due."""
    known, at = list(under_way.suspects), under_way.suspected_at
    if known and swept_at(run.claim) > at:
        keys = [source_key(run.plan, key) for key in known]
        there = still_there(snap, run.plan, keys)
        values = held_values(run.plan, [key for index, key in enumerate(keys) if index not in there])
        held = run.destination.side(only=values).rows([KeyRange()]) if values else ()
        found.real += [KeyDifference(DifferenceKind.GHOST, key) for key, _ in held]
        known = []
    fresh = [key for key in found.suspects if key not in set(known)]
    if fresh:
        run.ledger.sweeps.due_again(run.claim)
        at = run.claim.granted_at
    return replace(under_way, suspects=tuple([*known, *fresh][:MOST_SUSPECTS]), suspected_at=at)


def finish(
    run: RunContext,
    verification: Verification,
    under_way: Round,
    bounds: Sequence[Bound] | None,
    found: Found,
    done: int,
) -> None:
    """Report what was found, repair it if that is wanted, and record the progress."""
    _, left_out = cells_of(run)
    open_ones = open_differences(run, under_way, found.real)
    if open_ones is not None:
        run.recorder.events.append(
            f"verify_every: {counted(open_ones.total, 'row')} {'differs' if open_ones.total == 1 else 'differ'}"
            f" ({open_ones.text}): {'; '.join(open_ones.keys)}"
        )
        if run.plan.config.verify_repair:
            open_ones = repair(run, under_way, found)
    moment = moment_of(time.time())
    part = Certificate(
        ComparisonMethod.CONTENT, BY_SCHEDULE, under_way.so_far.began_at, moment, run.claim.checkpoint.x if run.claim.checkpoint else None,
        found.rows, found.ranges, sum(one.rows for one in found.real), found.repaired, found.kept,
    )  # fmt: skip
    so_far = replace(under_way.so_far.plus(part), without=left_out)
    before = verification.differences
    if before is not None and before.since == so_far.began_at and open_ones is not None:
        open_ones = before.plus(open_ones)
    if done < under_way.of or under_way.suspects:
        shown = open_ones or before
        state = replace(verification, round=replace(under_way, so_far=so_far, done=done), differences=shown)
    else:
        kept = before if before is not None and before.since == so_far.began_at else None
        state = replace(verification, round=None).certified(so_far, open_ones or kept)
        run.recorder.events.append(
            f"verify_every: all {counted(so_far.rows, 'row')} were compared:"
            f" {counted(so_far.differences, 'difference')}, {so_far.repaired} repaired"
        )
    run.ledger.certificates.save(run.claim, state, bounds)


def repair(run: RunContext, under_way: Round, found: Found) -> OpenDifferences | None:
    """Repair the real differences, and compare their keys once more; those that are left."""
    kinds = {kind: [one.key for one in found.real if one.kind is kind] for kind in DifferenceKind}
    gone = kinds[DifferenceKind.GHOST]
    run.destination.batches.cleanup()  # the rows of these keys use the names of the first batches
    run.ledger.checkpoints.forget_rows(run.claim)
    load_again(run, [*kinds[DifferenceKind.MISSING], *kinds[DifferenceKind.CHANGED]])
    if gone:
        try:
            check_deletes(run, len(gone), run.table.rows or run.claim.target.rows or found.rows)
            remove_ghosts(run, gone, run.deletes.deletes)
        except DeletesUnconfirmed as asks:
            run.recorder.events.append(str(asks))
    if kinds[DifferenceKind.DUPLICATE]:
        run.destination.remove_duplicates()
    run.destination.batches.cleanup()
    left = still_different(run, found.real)
    found.repaired = sum(one.rows for one in found.real) - sum(one.rows for one in left)
    return open_differences(run, under_way, left)


def still_different(run: RunContext, real: Sequence[KeyDifference]) -> list[KeyDifference]:
    """Those of these differences that a later comparison of their keys finds again."""
    again = Found()
    wanted = {one.key for one in real}
    values = held_values(run.plan, [source_key(run.plan, one.key) for one in real])
    with later_snapshot(run) as snap:
        cells, _ = cells_of(run)
        encoding = str(snap.fetch(SQL("select getdatabaseencoding()::text"))[0][0])
        these = SQL(" or ").join(sql.by_key(run.plan, source_key(run.plan, key)) for key in wanted)
        source = SourceSide(
            snap,
            run.plan,
            content=source_pieces(cells, snap.connection.server_version, encoding),
            conditions=[SQL("({})").format(these), *leave_out(run.plan, rejected_keys(run))],
        )
        target = run.destination.side(
            only=values, content=target_pieces(cells, octets=encoding == "SQL_ASCII")
        )
        found = [one for one in compare(source, target, run.plan, [KeyRange()]) if one.key in wanted]
        classify(run, snap, found, again)
        again.real += [KeyDifference(DifferenceKind.GHOST, key) for key in again.suspects]
    return again.real


def open_differences(
    run: RunContext, under_way: Round, real: Sequence[KeyDifference]
) -> OpenDifferences | None:
    """For the ledger and for people; None if there are none."""
    if not real:
        return None
    counts: Counter[str] = Counter()
    for one in real:
        counts[str(one.kind)] += one.rows
    rule = run.plan.config.transform
    hidden = rule.sensitive if rule else frozenset[str]()
    keys = [
        ", ".join(
            REDACTED if name in hidden else text for name, text in zip(run.plan.pk, one.key, strict=True)
        )
        for one in real[:SHOWN_KEYS]
    ]
    return OpenDifferences(dict(counts), under_way.so_far.began_at, tuple(keys))


def swept_at(claim: Claim) -> float:
    """Start of the run that completed the last search for deleted rows, in seconds since 1970; 0: there was none."""
    return float((claim.sweep or {}).get("swept_at") or 0.0)


def moment_of(at: float) -> str:
    """An ISO time in UTC, from seconds since 1970."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
