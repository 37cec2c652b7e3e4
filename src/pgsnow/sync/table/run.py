"""The run of one table, step by step: read the changes, transform and load them, and only then move the checkpoint.

If it is interrupted anywhere, the next run reads the same rows again. Loading is idempotent, so no row is lost or
duplicated.
"""

from __future__ import annotations

from dataclasses import replace

from pgsnow.model.checkpoint import WENT_BACK
from pgsnow.sync.load.loader import Loaded, TargetRecreated
from pgsnow.sync.pipeline.load_batches import LoadBatchWriter, PageStream
from pgsnow.sync.pipeline.spool import Spool
from pgsnow.sync.table import steps
from pgsnow.sync.table.backfill import ChunksRemain, backfill
from pgsnow.sync.table.context import RunContext, TableOutcome
from pgsnow.sync.table.deferred_load import stage_or_load


def sync_table(run: RunContext) -> TableOutcome:
    """Sync one table once. Raises the error that stopped it; the next run then starts from the checkpoint in the
    ledger."""
    steps.clean_up_leftovers(run)
    if run.options.duplicates_only:
        steps.remove_duplicates(run)
        return TableOutcome()
    if run.restarted or (run.probe is not None and run.probe.full_read is not None):
        from pgsnow.sync.table.history import follow_history  # rare

        run = follow_history(run)
    if run.drift.changes:
        steps.follow_key_names(run)
    if run.plan.config.load_every or run.claim.staged:
        at_once = stage_or_load(run)
        if at_once is None:
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
        if load_changes(run):
            break
        run = steps.from_the_beginning(run)
    run.destination.batches.cleanup(shadows=True)
    return TableOutcome(backfilled=done is not None)


def load_changes(run: RunContext) -> bool:
    """Read, transform and load the changes since the checkpoint, or everything; then advance the checkpoint. False:
    the target does not have what was loaded before, so everything must be read."""
    reader = run.reader()
    with reader, Spool(run.claim.run_id) as spool:
        run.recorder.full_read = reader.full_read or (run.backfill.reason if run.backfill else None)
        if reader.full_read in WENT_BACK and run.because != reader.full_read:
            from pgsnow.sync.table.history import begin_repair  # rare

            run = begin_repair(replace(run, backfill=None), reader.full_read)
        pages, partial = PageStream(reader.pages(), run.recorder), reader.full_read is None
        target = run.destination.prepare() if pages.has_pages() else None
        if partial and run.table.because is not None:
            return False
        limits = target.limits if target else ()
        run.rejected.apply_limits(limits)
        partial = partial or bool(limits)  # a new target has no such limits
        if reader.full_read is not None:
            steps.check_fence(run, target)
        loader = run.destination.loader(run.facts(reader))
        writer = LoadBatchWriter(
            run.plan, run.claim.fence, spool, run.rejected, run.recorder, run.stop,
            uploads=run.destination.uploads,
        )  # fmt: skip
        for number, batch in enumerate(writer.batches(pages)):
            run.rejected.flush()
            outcome = loader.load(batch)
            if isinstance(outcome, TargetRecreated) and (number > 0 or partial):
                return False
            if isinstance(outcome, Loaded | TargetRecreated):
                run.rejected.resolve_loaded()
                if reader.resumable:
                    steps.advance(run, reader.checkpoint())
        run.rejected.flush()
        complete = loader.finish()
        steps.finish_full_read(run, complete)
        if run.recorder.rows_rejected or (run.backfill and run.backfill.rejected):
            steps.note_stale_rows(run, complete)
        if reader.full_read is None and run.table.because is not None:
            return False
        steps.advance(run, reader.checkpoint(), run.destination.definition(run.drift))
    return True
