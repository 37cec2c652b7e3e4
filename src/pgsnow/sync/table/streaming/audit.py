"""Audit of the log (`log_audit_every`): a sample of the table is compared with what the log has delivered.

The sample is rows that were written since the last audit, which a reader by transaction id finds, and one range of
keys, on both sides. A row that a transaction below the checkpoint's `x` wrote was committed before the end to which the
log was read, so the target must have it as it is. A key that the target alone has may have been deleted after that end:
it is a difference if the log has not shown its deletion by the next run.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from pgsnow.model.checkpoint import Checkpoint, ReadMode
from pgsnow.model.config.options import Deletes
from pgsnow.model.errors import DeletesUnconfirmed, LeaseLost, PgsnowError, ShuttingDown
from pgsnow.model.key_range import DifferenceKind, Key, KeyDifference, KeyRange
from pgsnow.model.log.lsn import format_lsn
from pgsnow.model.log.position import LogPosition
from pgsnow.model.sentences import counted
from pgsnow.postgres.incremental.streaming import audit_due, written_between
from pgsnow.postgres.read.snapshot import Snapshot
from pgsnow.sync.compare.compare import compare
from pgsnow.sync.compare.continuous import obstacle
from pgsnow.sync.compare.ranges import BLOCK, first_ranges
from pgsnow.sync.compare.sides import SourceSide
from pgsnow.sync.pipeline.confidential import REDACTED
from pgsnow.sync.table.comparison.differing import FoundDifferences, classify, sides_of
from pgsnow.sync.table.comparison.repair import load_again, remove_ghosts
from pgsnow.sync.table.context import RunContext
from pgsnow.sync.table.deletes.first_level import (
    MOST_REJECTED,
    held_values,
    later_snapshot,
    log_end,
    rejected_keys,
    still_there,
)
from pgsnow.sync.table.deletes.guards import check_deletes
from pgsnow.sync.table.deletes.search import source_key
from pgsnow.sync.table.steps import advance

MOST_ROWS = 200
"""Rows written since the last audit that are compared."""
MOST_BLOCKS = 2_000
"""Blocks of the table that are searched for them, about."""
MOST_UNORDERED = 1 << 30
"""Bytes of a table up to which a range of keys is compared that no index serves, so that the table is scanned."""
MOST_SUSPECTS = 100
SHOWN = 5


def audit_log(run: RunContext) -> None:
    """Compare, if that is due and nothing of the table waits in the stage. Rows that differ are loaded again, and the
    table leaves the log: it is read from the last audit on without it, and joins again. An error is an event, since the
    rows of the run are loaded and the next run tries again. Raises LeaseLost and ShuttingDown."""
    checkpoint = run.claim.checkpoint
    if not audit_due(run.plan, checkpoint, run.horizon) or run.claim.staged or obstacle(run.plan):
        return
    if checkpoint is None or checkpoint.log is None:
        return
    with run.recorder.timed("verify"):
        try:
            _audit(run, checkpoint, checkpoint.log)
        except (LeaseLost, ShuttingDown):
            raise
        except PgsnowError as error:
            run.recorder.events.append(f"log_audit_every: not compared: {error}")


def _audit(run: RunContext, checkpoint: Checkpoint, position: LogPosition) -> None:
    run.destination.prepare()
    if run.table.because is not None or len(rejected_keys(run)) > MOST_REJECTED:
        return
    found, since = FoundDifferences(), checkpoint.audit_x or 0
    with later_snapshot(run) as snap:
        end = log_end(snap.connection, run.claim.table)
        if position.suspects:
            found.real += _ghosts(run, snap, position.suspects)
        else:
            _compare_sample(run, snap, since, checkpoint.x, found)
    moment = {"audit_x": checkpoint.x, "audited_at": run.horizon.taken_at}
    if found.real:
        _leave(run, checkpoint, found.real, since, end)
    elif found.suspects:
        suspects = tuple(dict.fromkeys(found.suspects))[:MOST_SUSPECTS]
        advance(
            run,
            checkpoint.evolve(log=LogPosition(position.generation, position.lsn, position.settled, suspects)),
        )
    else:
        cleared = LogPosition(position.generation, position.lsn, position.settled)
        advance(run, checkpoint.evolve(log=cleared, **moment))


def _compare_sample(run: RunContext, snap: Snapshot, since: int, until: int, found: FoundDifferences) -> None:
    """Compare rows that were written from transaction `since` on and below `until`, then one range."""
    source, target = sides_of(run, snap)
    if (one := _any_range(run, source)) is not None:
        classify(run, snap, list(compare(source, target, run.plan, [one])), found)
    percent = min(100.0, 100 * MOST_BLOCKS * BLOCK / max(run.plan.source.total_bytes, 1))
    written = source.written(written_between(since, until), percent, MOST_ROWS)
    if written:
        source, target = sides_of(run, snap, only=[source_key(run.plan, key) for key in written])
        differing = [one for one in compare(source, target, run.plan, [KeyRange()]) if one.key in {*written}]
        known = {one.key for one in found.real}
        classify(run, snap, [one for one in differing if one.key not in known], found)


def _any_range(run: RunContext, source: SourceSide) -> KeyRange | None:
    """A range of keys, another one at each audit; None: the comparison of one would cost too much."""
    if not source.ordered and run.plan.source.total_bytes > MOST_UNORDERED:
        return None
    rows = max(run.table.rows or 0, run.claim.target.rows or 0, run.plan.source.estimated_rows)
    return random.choice(first_ranges(source, run.plan, rows))


def _ghosts(run: RunContext, snap: Snapshot, suspects: Sequence[Key]) -> list[KeyDifference]:
    """Those of these keys that the target still has, and the source still lacks."""
    keys = [source_key(run.plan, key) for key in suspects]
    there = still_there(snap, run.plan, keys)
    values = held_values(run.plan, [key for at, key in enumerate(keys) if at not in there])
    held = run.destination.side(only=values).rows([KeyRange()]) if values else ()
    return [KeyDifference(DifferenceKind.GHOST, key) for key, _ in held]


def _leave(
    run: RunContext, checkpoint: Checkpoint, real: Sequence[KeyDifference], since: int, end: int
) -> None:
    """Say what differs, repair it, and let the table leave the log."""
    read_to = checkpoint.log.lsn if checkpoint.log else 0
    kinds = Counter(str(one.kind) for one in real)
    run.recorder.events.append(
        f"log_audit_every: {counted(len(real), 'row')} {'differs' if len(real) == 1 else 'differ'}"
        f" ({', '.join(f'{count} {kind}' for kind, count in sorted(kinds.items()))}) between the target, for which the"
        f" log was read to {format_lsn(read_to)}, and the table at {format_lsn(end)}: {_shown(run, real)}. They are"
        " repaired, and the next run reads everything since the last audit without the log"
    )
    _repair(run, real)
    # In xmin mode, a checkpoint of watermark mode is continued from `audit_x`.
    back = min(since, checkpoint.x)
    left = checkpoint.evolve(mode=ReadMode.WATERMARK, log=None, audit_x=back, audited_at=run.horizon.taken_at)
    advance(run, left)


def _repair(run: RunContext, real: Sequence[KeyDifference]) -> None:
    run.destination.batches.cleanup()  # the rows of these keys use the names of the first batches
    run.ledger.checkpoints.forget_rows(run.claim)
    run.table.rows = None
    load_again(run, [one.key for one in real if one.kind in (DifferenceKind.MISSING, DifferenceKind.CHANGED)])
    gone = [one.key for one in real if one.kind is DifferenceKind.GHOST]
    if gone and run.deletes.deletes is not Deletes.OFF:
        try:
            check_deletes(run, len(gone), run.claim.target.rows or len(gone))
            remove_ghosts(run, gone, run.deletes.deletes)
        except DeletesUnconfirmed as asks:
            run.recorder.events.append(str(asks))
    if any(one.kind is DifferenceKind.DUPLICATE for one in real):
        run.destination.remove_duplicates()
    run.destination.batches.cleanup()


def _shown(run: RunContext, real: Sequence[KeyDifference]) -> str:
    """Some of the keys."""
    rule = run.plan.config.transform
    hidden = rule.sensitive if rule else frozenset[str]()
    shown = [
        ", ".join(
            REDACTED if name in hidden else text for name, text in zip(run.plan.pk, one.key, strict=True)
        )
        for one in real[:SHOWN]
    ]
    return "; ".join(shown)
