"""A sweep: finds the target's rows whose keys are gone from the source, and removes them.

It follows a read that is loaded completely, so the source's keys in the read's snapshot are among the target's. Ranges
with equal digests are settled by that snapshot. In the others, a key is removed only if a snapshot lacks it that is
later than every read that the target contains: docs/decisions/37-a-key-is-deleted-if-a-later-snapshot-lacks-it.md
"""

from __future__ import annotations

import time

from pgsnow.model.comparison.sweep import SweepResult
from pgsnow.model.config.options import Deletes
from pgsnow.model.errors import DeletesUnconfirmed, LeaseLost, LedgerOutdated, PgsnowError
from pgsnow.model.sentences import counted
from pgsnow.snowflake.load.deletes import staged_key
from pgsnow.sync.pipeline.key_spool import KeySpool
from pgsnow.sync.pipeline.spool import Spool
from pgsnow.sync.table.context import RunContext
from pgsnow.sync.table.deletes.first_level import is_comparable, is_lossless
from pgsnow.sync.table.deletes.guards import check_deletes
from pgsnow.sync.table.deletes.search import Findings, find_by_ranges
from pgsnow.sync.table.deletes.whole_keys import find_by_whole_keys
from pgsnow.sync.table.load_keys import load_keys

NOT_ALL = (
    "fewer deleted rows were found than were counted, as rows came meanwhile: they are searched for again"
)


def sweep(run: RunContext) -> None:
    """Do the sweep that is due, once everything that was read is loaded. If it ends early, it stays due. Idempotent.
    Raises DeletesUnconfirmed, LedgerOutdated, LeaseLost, and what reading and comparing raise."""
    refused = run.counted[-1] if run.counted else None
    if isinstance(refused, DeletesUnconfirmed):
        raise refused
    if run.table.sweep is None or not run.deletes.sweeps or run.claim.staged:
        return
    run.destination.prepare()
    if run.table.because is not None:
        return  # the target is not what was loaded: everything is read first
    if not run.counted and is_comparable(run.plan) and is_lossless(run):
        return  # the read could not count, as its rows were to be staged only
    try:
        found = find_and_remove(run)
    except (LeaseLost, LedgerOutdated):
        raise  # the claim has ended
    except PgsnowError as error:
        run.ledger.sweeps.tried(run.claim, run.recorder.sweep_seconds, str(error))
        raise
    if not found.is_complete:
        why = found.obstacle or NOT_ALL
        run.recorder.events.append(why)
        run.ledger.sweeps.tried(run.claim, run.recorder.sweep_seconds, why)
        return
    if run.options.confirm_deletes:
        run.table.doubt(None)  # of rows that a full read did not find
    result = SweepResult(run.recorder.rows_deleted, found.ranges, run.recorder.sweep_seconds)
    run.table.sweep_done(run.table.sweep.state, result)


def find_and_remove(run: RunContext) -> Findings:
    """Search, and remove what is gone."""
    began, recorder = time.monotonic(), run.recorder
    try:
        with recorder.timed("deletes"), Spool(run.claim.run_id) as spool:
            found = Findings(KeySpool(spool, staged_key(run.plan)))
            if is_comparable(run.plan):
                find_by_ranges(run, found)
            else:
                find_by_whole_keys(run, found)
            recorder.tell("compared", rows=found.gone.rows)
            recorder.ranges_compared += found.ranges
            check_deletes(run, found.rows, found.of)
            found.certain &= remove(run, found)
            remove_marked(run, found)
            settle_others(run, found)
            return found
    finally:
        recorder.sweep_seconds += time.monotonic() - began


def remove(run: RunContext, found: Findings) -> bool:
    """Remove the keys that are gone. False: it is not certain that all of it is done."""
    if not found.gone.rows:
        return True
    removed = run.destination.remove_keys(found.gone, run.deletes.deletes)
    run.recorder.rows_deleted += removed.rows
    if removed.rows:
        are = "is" if removed.rows == 1 else "are"
        verb = "marked as deleted" if run.deletes.deletes is Deletes.SOFT else "deleted"
        run.recorder.events.append(f"{verb} {counted(removed.rows, 'row')} that {are} gone from the source")
    return removed.certain


def remove_marked(run: RunContext, found: Findings) -> None:
    """With `deletes: hard`, delete the rows that were marked in a time with `deletes: soft`. So many that a person is
    asked are deleted with confirmation alone."""
    if run.deletes.deletes is not Deletes.HARD or not (marked := run.destination.marked_rows()):
        return
    check_deletes(run, marked, found.of + marked)
    deleted = run.destination.delete_marked()
    run.recorder.rows_deleted += deleted
    run.recorder.events.append(f"deleted {counted(deleted, 'row')} that had been marked as deleted")


def settle_others(run: RunContext, found: Findings) -> None:
    """After the deletes: close the errors of rejected rows that are gone, read again what the target lacks, and report
    duplicates."""
    events, table = run.recorder.events, run.claim.table
    if found.closed:
        run.ledger.rejected_rows.resolve(run.claim, found.closed)
    if found.missing:
        run.destination.batches.cleanup()  # the rows of these keys use the names of the first batches
        load_keys(run, found.missing)
        events.append(
            f"{counted(len(found.missing), 'row')} that the source has and the target lacked"
            f" {'was' if len(found.missing) == 1 else 'were'} read again"
        )
    if found.duplicates:
        events.append(
            f"the target has {counted(found.duplicates, 'duplicate row')}: pgsnow resync {table} --duplicates-only"
            " removes them"
        )
