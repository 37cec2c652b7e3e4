"""The run of one table, step by step: read the changes, transform and load them, and only then move the checkpoint.

If it is interrupted anywhere, the next run reads the same rows again. Loading is idempotent, so no row is lost or
duplicated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgsnow.model.errors import LogUnusable, StagedRowsLost
from pgsnow.sync.table import steps
from pgsnow.sync.table.backfill import ChunksRemain, backfill
from pgsnow.sync.table.context import RunContext, TableOutcome
from pgsnow.sync.table.deferred_load import load_waiting, loads_now, read_again, stage_or_load
from pgsnow.sync.table.load_schedule import is_much

if TYPE_CHECKING:
    from pgsnow.sync.stream.log_tick import TableLog


def sync_table(run: RunContext) -> TableOutcome:
    """Sync one table once. Raises the error that stopped it; the next run then starts from the checkpoint in the
    ledger."""
    early = stage_early(run)
    run = steps.clean_up_leftovers(run)
    if run.options.duplicates_only:
        steps.remove_duplicates(run)
        return TableOutcome()
    if run.restarted or (run.probe is not None and run.probe.full_read is not None):
        from pgsnow.sync.table.history import follow_history  # rare

        run = follow_history(run)
    steps.follow_key_names(run)
    if run.log is not None and follow_log(run, run.log, staged=early):
        return TableOutcome()
    if run.plan.config.load_every or run.plan.config.insert_only or run.claim.staged:
        at_once = stage_or_load(run)
        if at_once is None:
            complete(run)
            run.destination.batches.cleanup(wait=True)
            return TableOutcome()
        run = at_once
    run = steps.follow_source(run)
    if run.plan.whole and steps.only_advances(run):
        return TableOutcome()
    while True:
        done = backfill(run)
        if isinstance(done, ChunksRemain):
            return TableOutcome(remaining=done.counts)
        run = run if done is None else steps.after_backfill(run, done)
        if steps.load_changes(run):
            break
        run = steps.from_the_beginning(run)
    complete(run)
    run.destination.batches.cleanup(shadows=True, wait=True)
    return TableOutcome(backfilled=done is not None)


def stage_early(run: RunContext) -> bool:
    """Stage the changes that were read from the log before anything else is sent, because with a bucket that succeeds
    while Snowflake cannot be reached, and frees the slot. False: that was not done."""
    if run.log is None or run.restarted:  # the ledger may have been restored, which the newest fence shows
        return False
    from pgsnow.sync.table.streaming.changes import stage_log  # with `mode: log`

    stage_log(run, run.log)
    return True


def follow_log(run: RunContext, log: TableLog, *, staged: bool) -> bool:
    """Load the changes that were read from the log, if that is due. staged: they are staged already. False: deleted
    rows must be searched for as well, as those of a partition that was truncated, which needs a read of the table
    itself. Raises LogUnusable if the table must be read otherwise: what was staged is discarded then."""
    from pgsnow.sync.table.streaming.changes import LOST, stage_log  # with `mode: log`

    if not staged:
        stage_log(run, log)
    due = loads_now(run) or is_much(run.plan.config, run.claim.staged) or run.table.sweep is not None
    if due and load_waiting(run) is not None:
        raise LogUnusable(f"{run.claim.table}: {LOST}")
    if any(batch.kept is not None for batch in run.claim.staged):  # they need not wait to be uploaded
        from pgsnow.sync.table.changes.kept import upload_kept  # rare

        try:
            upload_kept(run)
        except StagedRowsLost as lost:
            read_again(run, str(lost))
            raise LogUnusable(f"{run.claim.table}: {LOST}") from lost
    if run.table.sweep is not None:
        run.destination.batches.cleanup()  # the rows that are read next use the same batch names
        return False
    complete(run)
    run.destination.batches.cleanup(wait=True)
    return True


def complete(run: RunContext) -> None:
    """Steps after everything is loaded: the live view shows it, before rows are removed that a file still has. Rows
    that were deleted in the source are found, if that is due, and removed from the target. Then the ranges of a
    continuous comparison (`verify_every`) that are due are compared. With `mode: log`, the table joins the log as soon
    as no deleted row has to be found any more, and what came from the log is audited if that is due."""
    places = run.claim.places
    if run.plan.config.live_view or (places and places[0].get("live_view")):  # or it had one before
        run.destination.follow_live_view(sweeps=run.table.sweep is not None or bool(run.counted))
    if run.table.sweep is not None or run.counted:
        from pgsnow.sync.table.deletes.sweep import sweep  # rare

        sweep(run)
    if run.join is not None:
        steps.join_log(run, run.join)
    if run.plan.config.verify_every:
        from pgsnow.sync.table.comparison.rounds import continue_round  # rare

        continue_round(run)
    if run.log is not None and run.log.audits:
        from pgsnow.sync.table.streaming.audit import audit_log  # rare

        audit_log(run)
