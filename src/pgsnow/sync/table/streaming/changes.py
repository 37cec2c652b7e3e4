"""The run of a table whose changes were read from the log: they are staged, which frees the slot, and then loaded."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import replace

from pgsnow.model.batch import Page
from pgsnow.model.deferred_batch import StagedBatch
from pgsnow.model.errors import LogUnusable
from pgsnow.model.log.changes import PageChanges
from pgsnow.sync.load.choose import LoadFacts
from pgsnow.sync.load.deferred import next_batch, next_row
from pgsnow.sync.load.loader import Deferred
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

LOST = "the target or its stage does not have what was loaded or staged before"


def stage_log(run: RunContext, log: TableLog) -> None:
    """Stage the changes, and record them with the position up to which the log was read; then the slot may be
    confirmed to there. Raises LogUnusable if the table must be read otherwise; nothing is recorded then."""
    new: list[StagedBatch] = []
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
            uploads=run.destination.uploads, changes=True,
        )  # fmt: skip
        for batch in writer.batches(pages):
            run.rejected.flush()
            outcome = loader.load(batch)
            if not isinstance(outcome, Deferred):
                run.destination.batches.inherit([staged.batch for staged in new])
                raise LogUnusable(f"{run.claim.table}: {LOST}")
            new.append(outcome.batch)
            run.rejected.resolve_loaded()
        run.rejected.flush()
        if run.recorder.rows_rejected:
            run.rejected.judge_older_versions(run.destination.held_keys, only_unknown=True)
        record_staged(run, new, checkpoint, run.destination.definition(run.drift))
    log.staged()
    note_staged(run, new)


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
