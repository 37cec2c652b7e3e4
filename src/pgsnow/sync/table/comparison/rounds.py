"""Continuous comparison: a few ranges of a table's keys a run, until each was compared once in `verify_every`.

It follows a complete load. A row that changed after its read is no difference, as the next read loads it.
A key that only the target has is a difference if the next search for deleted rows leaves it. docs/verify.md
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

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
from pgsnow.model.errors import DeletesUnconfirmed, LeaseLost, PgsnowError, ShuttingDown
from pgsnow.model.key_range import DifferenceKind, KeyDifference, KeyRange
from pgsnow.model.sentences import counted
from pgsnow.postgres.read.snapshot import Snapshot
from pgsnow.sync.compare.compare import compare
from pgsnow.sync.compare.continuous import is_due
from pgsnow.sync.compare.ranges import between, first_ranges
from pgsnow.sync.compare.sides import Side, SourceSide
from pgsnow.sync.pipeline.confidential import REDACTED
from pgsnow.sync.table.comparison.differing import (
    FoundDifferences,
    cells_of,
    classify,
    sides_of,
    still_different,
)
from pgsnow.sync.table.comparison.key_order import bounds_beyond
from pgsnow.sync.table.comparison.repair import load_again, remove_ghosts
from pgsnow.sync.table.context import RunContext
from pgsnow.sync.table.deletes.first_level import (
    MOST_REJECTED,
    held_values,
    later_snapshot,
    rejected_keys,
    still_there,
)
from pgsnow.sync.table.deletes.guards import check_deletes
from pgsnow.sync.table.deletes.search import source_key

MOST_AT_ONCE = 16
"""Ranges that are compared together, with one statement a side and level: as many as the time allows."""
MOST_SUSPECTS = 1_000
MOST_FOUND = 10_000
"""Differing keys of one run that are looked at one by one."""


def continue_round(run: RunContext) -> None:
    """Compare the ranges that are due, for `verify_budget_seconds` at most, and repair what differs with
    `verify_repair`; record the progress. Nothing is compared while rows are staged, or while everything is about to be
    read. Idempotent. An error is an event, because the rows of the run are loaded and the next run goes on. Raises
    LeaseLost and ShuttingDown."""
    recorder, claim, now = run.recorder, run.claim, run.claim.granted_at
    awake = bool(recorder.load_units or recorder.replaced or recorder.ranges_compared)
    if not is_due(run.plan, claim.verification, claim.sweep, now, awake=awake):
        return
    if run.claim.checkpoint is None or run.claim.staged:
        return
    with recorder.timed("verify"):
        try:
            compare_next_ranges(run)
        except (LeaseLost, ShuttingDown):
            raise
        except PgsnowError as error:
            recorder.events.append(f"verify_every: not compared: {error}")


def compare_next_ranges(run: RunContext) -> None:
    """Compare the ranges that are due now. Raises what reading, comparing and loading raise."""
    verification = Verification.from_json(run.claim.verification)
    run.destination.prepare()
    if run.table.because is not None:  # the target is not what was loaded: everything is read first
        return
    with later_snapshot(run) as snap:
        source, target = sides_of(run, snap)
        under_way, bounds, begins = round_of(run, source, verification)
        found, done = compare_due(run, snap, (source, target), under_way, between(bounds))
        under_way = settle_suspects(run, snap, under_way, found)
    finish(run, verification, under_way, bounds if begins else None, found, done)


def round_of(
    run: RunContext, source: SourceSide, verification: Verification
) -> tuple[Round, list[Bound], bool]:
    """The round under way, the bounds between its ranges, and whether the bounds are new: a round begins, or its last
    range, which is about to be compared, has grown and is cut again."""
    estimate = max(run.table.rows or 0, run.claim.target.rows or 0, run.plan.source.estimated_rows)
    known = verification.round
    bounds = run.ledger.certificates.bounds(run.claim.table) if known else []
    if known is None or known.shape != run.plan.shape or len(bounds) + 1 != known.of:
        ranges = first_ranges(source, run.plan, estimate)
        moment = moment_of(run.claim.granted_at)
        so_far = Certificate(ComparisonMethod.CONTENT, BY_SCHEDULE, moment, moment)
        new = [one.first for one in ranges if one.first is not None]
        return Round(so_far, 0, len(new) + 1, run.plan.shape), new, True
    if known.done < known.of == wanted_of(known, run) and bounds:
        grown = bounds_beyond(run.plan, first_ranges(source, run.plan, estimate), bounds[-1])
        if len(grown) > 1:
            return replace(known, of=known.of + len(grown)), [*bounds, *grown], True
    return known, bounds, False


def compare_due(
    run: RunContext,
    snap: Snapshot,
    sides: tuple[Side, Side],
    under_way: Round,
    ranges: Sequence[KeyRange],
) -> tuple[FoundDifferences, int]:
    """Compare the next ranges; what was found, and how many ranges are done now."""
    config, began, wanted = run.plan.config, time.monotonic(), wanted_of(under_way, run)
    without, found, done = rejected_keys(run), FoundDifferences(), under_way.done
    if len(without) > MOST_REJECTED:
        run.recorder.events.append(
            f"verify_every: nothing is compared while {len(without)} rows are rejected"
        )
        return found, done
    at_once = 1
    while done < wanted:
        some = ranges[done : min(done + at_once, wanted)]
        comparison = compare(*sides, run.plan, some)
        differing = list(comparison)
        classify(run, snap, differing, found)
        found.rows += comparison.counts.source_rows
        found.ranges += len(some)
        done += len(some)
        passed = time.monotonic() - began
        left = config.verify_budget_seconds - passed
        if left <= 0 or run.stop.is_set() or len(found.real) + len(found.suspects) > MOST_FOUND:
            break
        at_once = max(1, min(int(left * found.ranges / max(passed, 0.001)), MOST_AT_ONCE))
    run.recorder.tell("compared", rows=found.rows)
    return found, done


def wanted_of(under_way: Round, run: RunContext) -> int:
    """How many ranges are to be done at the end of this run, by the round's plan; at least one more than before."""
    passed = run.claim.granted_at - seconds(under_way.so_far.began_at)
    planned = min(passed / (run.plan.config.verify_every * PACE), 1.0)
    return min(max(math.ceil(planned * under_way.of), under_way.done + 1), under_way.of)


def settle_suspects(run: RunContext, snap: Snapshot, under_way: Round, found: FoundDifferences) -> Round:
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
    found: FoundDifferences,
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
    moment, read = moment_of(time.time()), run.claim.checkpoint
    part = Certificate(
        ComparisonMethod.CONTENT,
        BY_SCHEDULE,
        under_way.so_far.began_at,
        moment,
        read.x if read else None,
        found.rows,
        found.ranges,
        sum(one.rows for one in found.real),
        found.repaired,
        found.kept,
    )
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


def repair(run: RunContext, under_way: Round, found: FoundDifferences) -> OpenDifferences | None:
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
