"""The run of one table, step by step: read the changes, transform and load them, and only then move the checkpoint.

If it is interrupted anywhere, the next run reads the same rows again. Loading is idempotent, so no row is lost or
duplicated.
"""

from __future__ import annotations

from pgsnow.sync.table import steps
from pgsnow.sync.table.backfill import ChunksRemain, backfill
from pgsnow.sync.table.context import RunContext, TableOutcome
from pgsnow.sync.table.deferred_load import stage_or_load
from pgsnow.sync.table.streaming.follow import follow_log, stage_early


def sync_table(run: RunContext) -> TableOutcome:
    """Sync one table once. Raises the error that stopped it; the next run then starts from the checkpoint in the
    ledger."""
    staged = run.log is not None and stage_early(run, run.log)
    run = steps.clean_up_leftovers(run)
    if run.options.duplicates_only:
        steps.remove_duplicates(run)
        return TableOutcome()
    if run.restarted or (run.probe is not None and run.probe.full_read is not None):
        from pgsnow.sync.table.history import follow_history  # rare

        run = follow_history(run)
    steps.follow_key_names(run)
    if run.log is not None and follow_log(run, run.log, staged=staged):
        return complete(run)
    if run.plan.config.load_every or run.plan.config.insert_only or run.claim.staged:
        at_once = stage_or_load(run)
        if at_once is None:
            return complete(run)
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
    return complete(run, shadows=True, backfilled=done is not None)


def complete(run: RunContext, *, shadows: bool = False, backfilled: bool = False) -> TableOutcome:
    """Steps after everything is loaded: the live view shows it, before rows are removed that a file still has. Rows
    that were deleted in the source are found, if that is due, and removed from the target. Then the ranges of a
    continuous comparison (`verify_every`) that are due are compared. With `mode: log`, the table joins the log as soon
    as no deleted row has to be found any more, and what came from the log is audited if that is due. At last, files are
    removed, and with `shadows` shadow tables."""
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
    run.destination.batches.cleanup(shadows=shadows, wait=True)
    return TableOutcome(backfilled=backfilled)
