"""The run of a table whose changes were read from the log: they are staged, which frees the slot, and then loaded."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing, suppress
from dataclasses import replace

from pgsnow.model.batch import LoadBatch, Page
from pgsnow.model.deferred_batch import StagedBatch
from pgsnow.model.errors import (
    LogUnusable,
    PgsnowError,
    StageUnreachable,
    StagingUnavailable,
    TargetLoginRefused,
    TargetUnavailable,
)
from pgsnow.model.log.changes import PageChanges
from pgsnow.sync.load.choose import LoadFacts
from pgsnow.sync.load.deferred import next_batch, next_row
from pgsnow.sync.load.loader import Deferred, Loader, Outcome
from pgsnow.sync.pipeline.load_batches import LoadBatchWriter, PageStream
from pgsnow.sync.pipeline.spool import Spool
from pgsnow.sync.stream.batch_keys import BatchKeys
from pgsnow.sync.stream.change_page import ChangeCounts
from pgsnow.sync.stream.log_tick import TableLog
from pgsnow.sync.stream.pages import change_pages
from pgsnow.sync.table.context import RunContext
from pgsnow.sync.table.deferred_load import (
    has_lost_rows,
    note_staged,
    record_staged,
)

AWAY = (TargetUnavailable, TargetLoginRefused, StageUnreachable, StagingUnavailable)
"""Errors after which changes may be kept in `log_spool_dir`."""
LOST = "the target or its stage does not have what was loaded or staged before"


def stage_log(run: RunContext, log: TableLog) -> None:
    """Stage the changes, and record them with the position up to which the log was read; then the slot may be
    confirmed to there. Raises LogUnusable if the table must be read otherwise; nothing is recorded then. If they were
    kept in `log_spool_dir` instead, the reason is raised after they are recorded."""
    new: list[StagedBatch] = []
    away: PgsnowError | None = None
    waiting, checkpoint = run.claim.staged, log.checkpoint(run.plan, run.checkpoint, run.horizon)
    with Spool(run.claim.run_id) as spool, closing(pages_of(run, log)) as changes:
        pages = PageStream(changes, run.recorder)
        if pages.has_pages():
            target = run.destination.prepare(loads=False)
            if has_lost_rows(run):
                raise LogUnusable(f"{run.claim.table}: {LOST}")
            run.rejected.apply_limits(target.limits)
        loader = run.destination.loader(LoadFacts(deferred=True))
        writer = LoadBatchWriter(
            run.plan, run.claim.fence, spool, run.rejected, run.recorder, run.stop,
            first_batch=next_batch(waiting, run.claim.fence), first_row=next_row(waiting),
            uploads=None if run.log_spool else run.destination.uploads, changes=True,
        )  # fmt: skip
        for batch in writer.batches(pages):
            run.rejected.flush()
            outcome, away = _stage(run, loader, batch, away)
            if not isinstance(outcome, Deferred):
                run.destination.batches.inherit([staged.batch for staged in new])
                raise LogUnusable(f"{run.claim.table}: {LOST}")
            new.append(outcome.batch)
            run.rejected.resolve_loaded()
        run.rejected.flush()
        if run.recorder.rows_rejected and away is None:
            with suppress(*AWAY):  # the load asks again
                run.rejected.judge_older_versions(run.destination.held_keys, only_unknown=True)
        record_staged(run, new, checkpoint, run.destination.definition(run.drift))
    log.staged()
    note_staged(run, new)
    if run.log_spool is not None:
        from pgsnow.sync.table.changes.kept import end_keeping  # where the configuration names a folder

        end_keeping(run, sum(batch.rows for batch in new), away)


def _stage(
    run: RunContext, loader: Loader, batch: LoadBatch, away: PgsnowError | None
) -> tuple[Outcome, PgsnowError | None]:
    """Stage the batch; if the stage cannot be reached, keep it in `log_spool_dir`. away: why this and later batches
    of the run are kept, which is returned as well; None: the stage is tried."""
    if away is None:
        try:
            return loader.load(batch), None
        except AWAY as error:
            if run.log_spool is None:
                raise
            away = error
    from pgsnow.sync.table.changes.kept import keep  # rare

    return keep(run, batch, away), away


def pages_of(run: RunContext, log: TableLog) -> Generator[Page, None, None]:
    """The changes as pages for the writer of load batches."""
    keys, rows, counts = BatchKeys(run.plan.pk), 0, ChangeCounts()
    with closing(change_pages(log.blocks(), run.plan, run.source)) as every:
        for found in every:
            counts += found.counts
            apart = rows >= run.plan.config.max_rows_per_load or not keys.admits(found)
            if apart:
                keys, rows = BatchKeys(run.plan.pk), 0
            keys.add(found)
            rows += found.page.rows.num_rows + found.deleted.num_rows
            changes = PageChanges(
                found.commits,
                found.unchanged,
                found.moved,
                found.deleted,
                found.deleted_commits,
                truncates=found.truncates,
                replayed=log.before.settled > log.before.lsn,
                apart=apart,
            )
            yield replace(found.page, changes=changes)
    if text := str(counts):
        run.recorder.events.append(text)
