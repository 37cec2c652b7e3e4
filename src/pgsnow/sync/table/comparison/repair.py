"""Repair of single rows: those that differ are read again and loaded, and those that the source lacks are removed.

Nothing is done that a run would not do: rows pass the same transform and loader under the table's lease, a key is
removed only if a snapshot lacks it that is later than everything that the target contains, and more deletes than the
guards allow need a confirmation. A repair that is interrupted can be repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pgsnow.model.backfill import ChunkCounts
from pgsnow.model.config.options import Deletes
from pgsnow.model.key_range import DifferenceKind, Key, KeyDifference
from pgsnow.model.sentences import counted, were
from pgsnow.snowflake.load.deletes import staged_key
from pgsnow.sync.pipeline.key_spool import KeySpool
from pgsnow.sync.pipeline.row_keys import Key as SourceKey
from pgsnow.sync.pipeline.row_keys import items_of
from pgsnow.sync.pipeline.spool import Spool
from pgsnow.sync.table.context import RunContext, TableOutcome
from pgsnow.sync.table.deferred_load import without_staged
from pgsnow.sync.table.deletes.first_level import later_snapshot, still_there
from pgsnow.sync.table.deletes.guards import check_deletes
from pgsnow.sync.table.deletes.search import source_key
from pgsnow.sync.table.load_keys import load_keys

AGAIN = "everything is read again at the next run"


@dataclass(frozen=True, slots=True)
class RepairOrder:
    """Differences of one table to repair. ghosts: also remove rows that the source lacks where `deletes: off` keeps
    them. target_rows: of the target when it was compared."""

    found: Sequence[KeyDifference]
    ghosts: bool = False
    target_rows: int = 0

    def keys(self, *kinds: DifferenceKind) -> list[Key]:
        """The keys of these kinds, each once."""
        return list(dict.fromkeys(one.key for one in self.found if one.kind in kinds))


def repair_rows(run: RunContext, order: RepairOrder) -> TableOutcome:
    """Repair these rows; the checkpoint does not move. If the table cannot be repaired now, an event says why, and
    nothing is done. Raises DeletesUnconfirmed before any change, and what reading and loading raise."""
    why, counts = hindrance(run)
    if why is not None:
        run.recorder.events.append(f"nothing was repaired: {why}")
        return TableOutcome(remaining=counts)
    deletes = Deletes.HARD if order.ghosts and run.deletes.deletes is Deletes.OFF else run.deletes.deletes
    gone = order.keys(DifferenceKind.GHOST) if deletes is not Deletes.OFF else []
    check_deletes(run, len(gone), order.target_rows)
    run.destination.batches.cleanup()
    run = without_staged(run)
    run.ledger.checkpoints.forget_rows(run.claim)
    run.table.rows = None  # another number of rows is what is repaired here, no reason to read everything
    run.destination.evolve(run.drift)
    run.destination.prepare()
    if run.table.because is not None:
        run.recorder.events.append(f"nothing was repaired: {run.table.because}, and {AGAIN}")
        return TableOutcome()
    load_again(run, order.keys(DifferenceKind.MISSING, DifferenceKind.CHANGED))
    if gone:
        remove_ghosts(run, gone, deletes)
    if order.keys(DifferenceKind.DUPLICATE):
        run.destination.remove_duplicates()
    run.destination.batches.cleanup()
    return TableOutcome()


def hindrance(run: RunContext) -> tuple[str | None, ChunkCounts | None]:
    """Why single rows of the table cannot be repaired now, and the progress of a backfill under way; None: they can."""
    if not run.plan.target_key:
        return f"its rows have no key: pgsnow resync {run.claim.table} replaces the whole content", None
    if run.plan.whole:
        return f"its content is replaced as a whole: pgsnow resync {run.claim.table}", None
    if run.checkpoint is None:
        work = run.ledger.backfills.current(run.claim)
        if work is None:
            return (
                "it has not been loaded yet, or everything must be read again: the next run does that",
                None,
            )
        what = "a resync" if work.replaces else "a full read in chunks"
        return f"{what} is under way, which loads every row", run.ledger.backfills.counts(run.claim.table)
    full = run.drift.full_read or (run.probe.full_read if run.probe else None)
    return (None, None) if full is None else (f"{full}: {AGAIN}", None)


def load_again(run: RunContext, keys: Sequence[Key]) -> None:
    """Read these rows from the source and load them. Those that are rejected again stay rejected; errors of the others
    are closed."""
    if not keys:
        return
    loaded, rejected = run.recorder.rows_inserted + run.recorder.rows_updated, run.recorder.rows_rejected
    hidden = run.rejected.confidential
    wanted = [source_key(run.plan, key) for key in keys]
    found = wanted if hidden is None else hidden.find(run.source, run.plan, wanted)
    load_keys(run, found, selected=True)
    bad = run.rejected.rejected_keys
    if run.claim.has_open_errors:
        good = [key for key in wanted if items_of(key) not in bad]
        run.ledger.rejected_rows.resolve(run.claim, good)
    if run.recorder.rows_rejected:
        run.rejected.judge_older_versions(run.destination.held_keys, only_unknown=True)
    done = run.recorder.rows_inserted + run.recorder.rows_updated - loaded
    run.recorder.events.append(f"{counted(done, 'row')} that differed {were(done)} loaded again")
    if (left := run.recorder.rows_rejected - rejected) > 0:
        run.recorder.events.append(
            f"{counted(left, 'row')} that differed {were(left)} rejected again: pgsnow errors list"
        )


def remove_ghosts(run: RunContext, keys: Sequence[Key], deletes: Deletes) -> None:
    """Remove the rows of these keys that the source still lacks, in a snapshot that is later than every load so far."""
    there = present(run, [source_key(run.plan, key) for key in keys])
    if there is None:
        run.recorder.events.append(
            f"{counted(len(keys), 'row')} that the source does not have {were(len(keys))} kept, because the transform"
            f" changes keys: pgsnow resync {run.claim.table} replaces the whole content"
        )
        return
    if there:
        run.recorder.events.append(
            f"{counted(len(there), 'row')} {were(len(there))} kept: the source has the key"
        )
    with Spool(run.claim.run_id) as spool:
        gone = KeySpool(spool, staged_key(run.plan))
        for at, key in enumerate(keys):
            if at not in there:
                gone.add(key)
        if gone.rows:
            removed = run.destination.remove_keys(gone, deletes).rows
            run.recorder.rows_deleted += removed
            how = "marked as deleted" if deletes is Deletes.SOFT else "deleted"
            run.recorder.events.append(
                f"{counted(removed, 'row')} that the source does not have {were(removed)} {how}"
            )


def present(run: RunContext, keys: Sequence[SourceKey]) -> set[int] | None:
    """Indexes of those keys, as loaded, that the source has now. None: the transform changes keys in a way that cannot
    be undone."""
    rule = run.plan.config.transform
    changed = set(run.plan.pk) & ({*rule.sensitive, *rule.cast} if rule else set())
    if not changed:
        with later_snapshot(run) as snap:
            return still_there(snap, run.plan, keys)
    hidden = run.rejected.confidential
    if hidden is None or not changed <= set(hidden.rule.hash):
        return None
    found = {items_of(hidden.key(key)) for key in hidden.find(run.source, run.plan, keys)}
    return {at for at, key in enumerate(keys) if items_of(key) in found}
