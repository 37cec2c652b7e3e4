"""`load_every`: each tick stages the changes, and only some ticks load them.

Between two loads, no statement that needs a warehouse is sent. docs/decisions/21-staged-now-loaded-later.md shows why
no row is lost, duplicated or overtaken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pgsnow.model.checkpoint import Checkpoint
from pgsnow.model.config.sync_config import LoadMethod, TableMode
from pgsnow.model.deferred_batch import StagedBatch, copied_at_once, in_loads
from pgsnow.model.duration import format_duration
from pgsnow.model.errors import StagedRowsLost, StagingRefused, TargetMissing, TargetQueryFailed
from pgsnow.model.evolution.drift import SourceDefinition
from pgsnow.postgres.incremental.window import UNBOUNDED
from pgsnow.snowflake.stage.stage import INTERNAL
from pgsnow.sync.load.choose import LoadFacts
from pgsnow.sync.load.deferred import next_batch, next_row
from pgsnow.sync.load.loader import Deferred, TargetRecreated
from pgsnow.sync.pipeline.load_batches import LoadBatchWriter, PageStream
from pgsnow.sync.pipeline.spool import Spool
from pgsnow.sync.table.context import RunContext
from pgsnow.sync.table.load_schedule import is_much
from pgsnow.sync.table.steps import from_the_beginning, reader_of, remove_duplicates

if TYPE_CHECKING:
    from pgsnow.postgres.read.reader import Reader
    from pgsnow.sync.table.insert_only.updates import NewRows

CANNOT_BE_LOADED = (StagedRowsLost, TargetQueryFailed, StagingRefused)
"""Errors of staged batches after which their rows are read again; if that does not help, the error recurs."""


def stage_or_load(run: RunContext) -> RunContext | None:
    """Stage the changes if they can be deferred, and load them if they are due; None: the run is complete.
    Otherwise returns the run to continue at once; no batches older than its rows are staged then."""
    if not may_wait(run):
        return without_staged(run)
    waiting = run.claim.staged
    staged = stage_changes(run)
    if staged is None:
        return without_staged(run)
    if isinstance(staged, TargetRecreated):
        return begin_again(run, waiting)
    if isinstance(staged, RowsUpdated):
        return read_again(run, "the source shows updates")
    if loads_now(run) or is_much(run.plan.config, run.claim.staged):
        return load_waiting(run)
    return None


def loads_now(run: RunContext) -> bool:
    """True if all that is staged is loaded in this run."""
    return run.loads_staged or run.plan.config.load_every <= 0


def may_wait(run: RunContext) -> bool:
    """False if it is already clear that more than changes must be read, or that the table has been altered."""
    config = run.plan.config
    if not (config.load_every > 0 or config.insert_only) or config.mode is TableMode.LOG:
        return False
    if run.plan.whole or run.options.refresh or run.checkpoint is None:
        return False
    everything = run.probe is not None and run.probe.full_read is not None
    if run.restarted:  # rows that were read may be loaded again, and must not be overtaken by staged ones
        return False
    as_it_was = run.because is None and not run.drift.has_work and not run.replaces_content
    return as_it_was and not everything


class RowsUpdated:
    """With `insert_only`: rows that are staged to be copied were perhaps updated before they were read."""


def stage_changes(run: RunContext) -> list[StagedBatch] | TargetRecreated | RowsUpdated | None:
    """The newly staged batches; None: everything must be read, and nothing was staged."""
    new: list[StagedBatch] = []
    reader, waiting = reader_of(run, stages=not loads_now(run)), run.claim.staged
    with reader, Spool(run.claim.run_id) as spool:
        if reader.full_read is not None:
            return None
        found = look_for_new_rows(run, reader)
        pages = PageStream(reader.pages(), run.recorder)
        if pages.has_pages():
            target = run.destination.prepare(loads=False)
            if has_lost_rows(run):
                return TargetRecreated()
            run.rejected.apply_limits(target.limits)
        loader = run.destination.loader(LoadFacts(deferred=True))
        writer = LoadBatchWriter(
            run.plan, run.claim.fence, spool, run.rejected, run.recorder, run.stop,
            first_batch=next_batch(waiting, run.claim.fence), first_row=next_row(waiting),
            uploads=run.destination.uploads,
        )  # fmt: skip
        recorded = 0
        for batch in writer.batches(pages):
            run.rejected.flush()
            outcome = loader.load(batch)
            if not isinstance(outcome, Deferred):
                run.destination.batches.inherit([staged.batch for staged in new])  # they wait no longer
                return TargetRecreated()
            new.append(outcome.batch)
            run.rejected.resolve_loaded()
            if reader.resumable:
                record_staged(run, new[recorded:], reader.checkpoint(), None)
                recorded = len(new)
        run.rejected.flush()
        if run.recorder.rows_rejected:
            run.rejected.judge_older_versions(run.destination.held_keys, only_unknown=True)
        staged, checkpoint = new[recorded:], reader.checkpoint()
        if found is not None and found.updated and not new and doubts_waiting(run):
            return RowsUpdated()
        if found is not None:
            staged, checkpoint = found.staged(staged), found.read_until(checkpoint)
        record_staged(run, staged, checkpoint, run.destination.definition(run.drift))
    note_staged(run, new)
    return new


def look_for_new_rows(run: RunContext, reader: Reader) -> NewRows | None:
    """With `insert_only`: whether the rows of this read may be copied. reader: entered."""
    if not run.plan.config.insert_only:
        return None
    from pgsnow.sync.table.insert_only.updates import look_for_updates  # only for such tables

    return look_for_updates(run, reader)


def doubts_waiting(run: RunContext) -> bool:
    """After a read that shows updates, and no row: the server may have counted them late, when their rows had been
    read. True: rows wait to be copied; else those that were copied are in the target twice, and one is removed."""
    if not run.claim.staged:
        remove_duplicates(run)
    return bool(run.claim.staged)


def note_staged(run: RunContext, new: Sequence[StagedBatch]) -> None:
    """Report rows that wait to be loaded."""
    if loads_now(run):
        return
    if rows := sum(batch.rows for batch in new):
        within = format_duration(run.plan.config.load_every)
        run.recorder.events.append(f"staged {rows} row{'s' * (rows != 1)}, to be loaded within {within}")


def record_staged(
    run: RunContext, new: Sequence[StagedBatch], checkpoint: Checkpoint, source: SourceDefinition | None
) -> None:
    """Record that these batches are staged and that the table was read up to `checkpoint`, in one write."""
    if not new:
        run.table.advance(checkpoint, source)
        return
    with run.recorder.timed("checkpoint"):
        run.table.stage(new, checkpoint, source)
    run.destination.batches.forget([batch.batch for batch in new])
    run.recorder.tell("staged")


def without_staged(run: RunContext) -> RunContext:
    """The run to continue when no batch is staged any more."""
    if not run.claim.staged:
        return run
    if reads_everything(run):
        return read_again(run, "everything is")
    waiting = run.claim.staged
    if again := load_waiting(run):
        return again
    # The rows that are read next use the name of the load's staging table.
    run.destination.batches.cleanup(but=[batch.batch for batch in waiting])
    return run


def reads_everything(run: RunContext) -> bool:
    """True if everything is read, so that staged batches need not be loaded first."""
    found = run.probe.full_read if run.probe else None
    reasons = (run.because, run.drift.full_read, found)
    everything = (
        run.options.refresh or run.checkpoint is None or any(reason is not None for reason in reasons)
    )
    return everything or run.plan.whole or run.replaces_content


def load_waiting(run: RunContext) -> RunContext | None:
    """Load the staged batches, with as few MERGEs as max_rows_per_load allows. Returns a run if they could not be
    loaded: it must read their rows again."""
    waiting = run.claim.staged
    if not waiting:
        return None
    run.destination.prepare(guarded=not copied_at_once(run.plan.config, waiting))
    if has_lost_rows(run):
        return begin_again(run, waiting)
    try:
        load_all(run, waiting)
    except CANNOT_BE_LOADED as error:
        # From the checkpoint of what was loaded; from the beginning if the target was dropped.
        run.destination.prepare_again()
        if has_lost_rows(run):
            return begin_again(run, waiting)
        if not isinstance(error, TargetMissing):
            return read_again(run, str(error))
        try:
            load_all(
                run, waiting
            )  # finds no files if the stage was dropped, and fails again if a right is missing
        except StagedRowsLost as lost:
            return read_again(run, str(lost))
    note_loaded(run, waiting)
    return None


def note_loaded(run: RunContext, waiting: Sequence[StagedBatch], first_batch: int | None = None) -> None:
    """Record that these staged batches, which are all, are in the target. first_batch: the number of the next batch, if
    rows that are not whole are still to be read."""
    if first_batch is not None and run.table.incomplete:
        from pgsnow.sync.table.changes.incomplete_rows import complete_rows  # rare

        complete_rows(run, first_batch)
    if (
        run.claim.has_open_errors or run.recorder.rows_rejected
    ):  # what was just loaded may be an older version
        run.rejected.judge_older_versions(run.destination.held_keys, only_unknown=False)
    with run.recorder.timed("checkpoint"):
        run.table.staged_loaded()
        if run.table.settled:
            from pgsnow.sync.table.load_keys import settle  # rare

            settle(run)
    if run.claim.checkpoint is not None:
        run.recorder.last_watermark = run.claim.checkpoint.last_watermark
    run.recorder.tell("checkpointed")
    run.recorder.events.append(f"loaded {counted(waiting)}")
    run.destination.batches.inherit([batch.batch for batch in waiting])  # they are cleaned up at the end


def has_lost_rows(run: RunContext) -> bool:
    """True if the target does not have what was loaded before."""
    return run.table.because is not None


def load_all(run: RunContext, waiting: Sequence[StagedBatch]) -> None:
    """Load the staged batches. Raises CANNOT_BE_LOADED."""
    if any(batch.kept is not None for batch in waiting):
        from pgsnow.sync.table.changes.kept import upload_kept  # rare

        upload_kept(run)
    first = next_batch(waiting, run.claim.fence)
    if copied_at_once(run.plan.config, waiting):
        run.destination.load_staged(waiting, first, copies=True)
        return
    for batches in in_loads(waiting, run.plan.config.max_rows_per_load):
        run.destination.load_staged(batches, first, copies=False)
        first += 1
    if run.table.incomplete:
        from pgsnow.sync.table.changes.incomplete_rows import complete_rows  # rare

        complete_rows(run, first)
    if run.plan.config.insert_only:  # an update that the source showed late was copied before
        run.destination.remove_duplicates()


def read_again(run: RunContext, why: str) -> RunContext:
    """Discard the staged batches: the checkpoint goes back to what was loaded."""
    waiting = run.claim.staged
    run.table.discard_staged()
    run.recorder.events.append(f"{counted(waiting)} are read again: {why}")
    remove(run, waiting)
    checkpoint = run.claim.checkpoint
    if checkpoint is not None and run.drift.by_xid:
        checkpoint = checkpoint.evolve(low=UNBOUNDED)
    return replace(run, checkpoint=checkpoint)


def begin_again(run: RunContext, waiting: Sequence[StagedBatch]) -> RunContext:
    """The target does not have what was loaded before: the ledger has no checkpoint, and the staged batches are
    dropped."""
    remove(run, waiting)
    return from_the_beginning(run)


def remove(run: RunContext, batches: Sequence[StagedBatch]) -> None:
    """Clean up batches that are no longer staged, so that no later batch finds their files. Those that were staged for
    a target in another schema are in the stage of that one, and are removed later, as loaded ones are."""
    if run.log_spool is not None and batches:
        run.log_spool.sweep(batches[0].batch, ())
    opened, here = run.destination.batches, INTERNAL.location(run.plan.target)
    opened.inherit([batch.batch for batch in batches])
    elsewhere = [(batch, INTERNAL.location(batch.layout.target)) for batch in batches]
    elsewhere = [
        (batch, place) for batch, place in elsewhere if place != here and batch.place == LoadMethod.STAGE
    ]
    for batch, place in elsewhere:
        opened.leaves(batch.batch, files=True)
        opened.loaded(batch.batch, batch.size, location=place)
    opened.cleanup(wait=0 < len(elsewhere) == len(batches))


def counted(batches: Sequence[StagedBatch]) -> str:
    rows = sum(batch.rows for batch in batches)
    return f"{rows} staged row{'s' * (rows != 1)} of {len(batches)} batch{'es' * (len(batches) != 1)}"
