"""The steps of one table's run; run.py calls them in order."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pgsnow.model.checkpoint import WENT_BACK, Checkpoint
from pgsnow.model.comparison.sweep import SweepResult
from pgsnow.model.config.table_config import TableMode
from pgsnow.model.errors import KeyUnusable
from pgsnow.model.evolution.drift import SourceDefinition
from pgsnow.postgres.incremental.probe import idle_checkpoint
from pgsnow.postgres.read.reader import Reader, open_reader
from pgsnow.sync.load.destination import PreparedTarget
from pgsnow.sync.load.loader import Complete, Loaded, TargetRecreated
from pgsnow.sync.load.target import RECREATED
from pgsnow.sync.pipeline.load_batches import LoadBatchWriter, PageStream, batch_name
from pgsnow.sync.pipeline.spool import Spool
from pgsnow.sync.table.backfill import BackfillDone
from pgsnow.sync.table.context import RunContext

if TYPE_CHECKING:
    from pgsnow.sync.stream.join import LogJoin

INTERRUPTED = "an earlier run was interrupted, which may have replaced the content"


def clean_up_leftovers(run: RunContext) -> RunContext:
    """Remove files and tables that earlier runs left, except the shadow table of an unfinished backfill. With `mode:
    full`, such a run may have replaced the content with another one than the checkpoint says, even if the source has
    that one again: it is replaced again."""
    interrupted = run.plan.config.mode is TableMode.FULL and run.claim.open_batches and run.checkpoint
    if interrupted:  # recorded until this run has ended well
        run.destination.batches.record(batch_name(run.plan, run.claim.fence, 0))
        run = replace(run, because=run.because or INTERRUPTED)
    if run.checkpoint is None and run.claim.open_batches:
        known = run.ledger.backfills.current(run.claim)
        if known is not None and known.replaces:
            run.destination.keep_shadow(known.fence)
    run.destination.batches.cleanup()
    return run


def remove_duplicates(run: RunContext) -> None:
    """Remove the target's duplicates, and nothing else. Raises KeyUnusable if nothing identifies its rows."""
    if run.plan.config.mode is not TableMode.APPEND and not run.plan.target_key:
        raise KeyUnusable(
            f"{run.claim.table}: the table has no key that tells which of its rows are duplicates",
            advice=f"pgsnow run --select {run.claim.table} --full-refresh replaces the whole content.",
        )
    run.ledger.checkpoints.forget_rows(run.claim)
    run.table.rows = None  # with duplicates, their number is not the one of the last load
    run.destination.remove_duplicates()


def follow_key_names(run: RunContext) -> dict[str, str]:
    """Columns of the key that were renamed: old name → new one. The table's open errors get the new names first,
    because a row is found again by its key."""
    names = {name: now for name, now in run.drift.renamed if now in run.plan.pk}
    if names and run.claim.has_open_errors:
        run.ledger.rejected_rows.rename_keys(run.claim, names)
        run.rejected.reload_open_errors()
    return names


def follow_source(run: RunContext) -> RunContext:
    """Alter the target's columns to fit the current source; afterwards it is known whether everything must be read."""
    evolved = run.destination.evolve(run.drift)
    if evolved is None:
        return from_the_beginning(run)
    run.table.because = None
    because = run.because or run.drift.full_read or evolved.incomplete
    forgotten = because is None and run.claim.checkpoint is None
    return replace(run, because=because, checkpoint=None if forgotten else run.checkpoint)


def only_advances(run: RunContext) -> bool:
    """Advance the checkpoint of a table that is read as a whole and has not changed; it was only busy because an
    earlier run had left something to clean up. False: there are rows to read."""
    if run.probe is None or run.checkpoint is None:
        return False
    if run.probe.busy or run.options.refresh or (run.because or run.table.because) is not None:
        return False
    checkpoint = idle_checkpoint(run.probe, run.plan, run.checkpoint, run.horizon)
    advance(run, checkpoint, run.destination.definition(run.drift))
    return True


def reader_of(run: RunContext, *, stages: bool = False) -> Reader:
    """The reader of the changes since the checkpoint, or of everything. stages: its rows are not loaded yet."""
    if run.join is not None:
        run.join.begin(run.claim)
    reader = open_reader(
        run.source, run.plan, run.checkpoint, run.horizon,
        full=run.options.refresh and run.backfill is None, because=run.because,
        whole_leaves=() if run.backfill else run.drift.whole_leaves,
    )  # fmt: skip
    if run.table.sweep is not None:
        from pgsnow.sync.table.deletes.first_level import count_at_end  # rare

        count_at_end(run, reader, stages=stages)
    return reader


def load_changes(run: RunContext) -> bool:
    """Read, transform and load the changes since the checkpoint, or everything; then advance the checkpoint. False:
    the target does not have what was loaded before, so everything must be read."""
    reader = reader_of(run)
    with reader, Spool(run.claim.run_id) as spool:
        run.recorder.full_read = reader.full_read or (run.backfill.reason if run.backfill else None)
        if reader.full_read in WENT_BACK and run.because != reader.full_read:
            from pgsnow.sync.table.history import begin_repair  # rare

            run = begin_repair(replace(run, backfill=None), reader.full_read)
        pages, partial = PageStream(reader.pages(), run.recorder), reader.full_read is None
        guarded = partial and not run.plan.whole
        facts = run.facts(reader)
        waits = facts.is_first_load  # its loader creates the target
        target = run.destination.prepare(guarded=guarded, waits=waits) if pages.has_pages() else None
        if partial and run.table.because is not None:
            return False
        limits = target.limits if target else ()
        run.rejected.apply_limits(limits)
        partial = partial or bool(limits)  # a new target has no such limits
        if reader.full_read is not None:
            check_fence(run, target)
        loader = run.destination.loader(facts)
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
                    advance(run, reader.checkpoint())
        run.rejected.flush()
        complete = loader.finish()
        finish_full_read(run, complete)
        if run.recorder.rows_rejected or (run.backfill and run.backfill.rejected):
            note_stale_rows(run, complete)
        if reader.full_read is None and run.table.because is not None:
            return False
        advance(run, reader.checkpoint(), run.destination.definition(run.drift))
    return True


def after_backfill(run: RunContext, done: BackfillDone) -> RunContext:
    """The run that reads the changes since the backfill began."""
    return replace(
        run, checkpoint=done.checkpoint, because=None, backfill=done.work, resync=done.work.replaces
    )


def from_the_beginning(run: RunContext) -> RunContext:
    """The run that reads everything, because the target does not have what was loaded before."""
    because, run.table.because = run.table.because, None
    if because == RECREATED:
        run.recorder.events.append(f"{RECREATED}: everything is read again")
        because = None
    run.destination.batches.cleanup()  # the new run uses the same batch names
    run.rejected.begin_again()
    return replace(run, checkpoint=None, backfill=None, because=because)


def join_log(run: RunContext, join: LogJoin) -> None:
    """Record from where the table is read from the log, now that everything else is in the target. Not while deleted
    rows still have to be found, which the log no longer shows. If it does not join, an event says why."""
    if join.begun is None:
        if run.log is None:
            stays_without_log(run, join.why)
        return
    swept_at = (run.claim.sweep or {}).get("swept_at")
    none_left = run.table.state is None or swept_at == run.claim.granted_at
    checkpoint = join.finish(run.claim) if none_left else None
    if checkpoint is not None:
        advance(run, checkpoint)
        run.recorder.events.append("from now on, changes are read from the log")
        run.recorder.without_log = ""
    elif run.log is None:
        pending = (run.claim.pending or {}).get("pending_why") or (run.claim.sweep or {}).get("pending_why")
        stays_without_log(run, f"deleted rows must be found first{f' ({pending})' if pending else ''}")
    join.end(run.claim)


def stays_without_log(run: RunContext, why: str) -> None:
    """The table does not join the log in this run. why: '' if there is no slot to join, for which the recorder has the
    reason."""
    run.recorder.without_log = why = why or run.recorder.without_log or "there is no replication slot"
    event = f"read without the log: {why}"
    if event not in run.recorder.events:
        run.recorder.events.append(event)


def check_fence(run: RunContext, target: PreparedTarget | None) -> None:
    """Before everything is loaded: make sure that the target has no row that this run could not replace or delete.
    target: None if there are no rows to load. A statement that replaces the content checks that itself. Raises
    LedgerOutdated."""
    if run.replaces_content and (run.plan.config.mode is not TableMode.APPEND or run.options.deletes):
        return
    appends = run.plan.config.mode is TableMode.APPEND and not run.options.refresh
    is_empty = run.claim.target_columns is None if target is None else target.created
    if not appends and not is_empty:
        run.table.check_fence(run.destination.newest_fence())


def finish_full_read(run: RunContext, complete: Complete) -> None:
    """Complete a full read, if it was one: create the target if no row was loaded, and delete rows that the source no
    longer has. If the target has only rows of one snapshot then, deleted rows need not be searched for."""
    if run.recorder.full_read is None:
        return
    exact = remove_others(run, complete) or run.table.created
    if exact and run.claim.verification:
        run.table.end_differences()
    if exact and run.backfill is None and run.table.state is not None:
        run.table.sweep_done(run.table.state, SweepResult())


def remove_others(run: RunContext, complete: Complete) -> bool:
    """After a full read: remove the target's rows that it did not find; False: they may stay.

    If rows were rejected, nothing is deleted: the target may have older versions of them, which are better than
    nothing.
    """
    went_back = run.recorder.full_read in WENT_BACK
    if (run.options.refresh or run.prunes) and not run.recorder.replaced and run.recorder.load_units:
        run.destination.remove_duplicates()
    if complete.replaced:
        run.rejected.resolve_remaining()
        if run.claim.unverified and (run.plan.config.mode is not TableMode.APPEND or run.options.deletes):
            run.table.doubt(None)
        return True
    if run.recorder.load_units == 0:
        run.destination.prepare()
    if run.backfill is not None and run.backfill.replaces:
        run.table.doubt(None)
        return True
    if not (run.prunes or went_back):
        return False
    from pgsnow.sync.table.deletes.prune import prune  # rare

    return prune(run)


def note_stale_rows(run: RunContext, complete: Complete) -> None:
    """After a load with rejected rows: record of which of them the target keeps an older version. It is asked once for
    each of them, and again after its content was replaced."""
    if complete.replaced:
        run.rejected.judge_older_versions(lambda _keys: (), only_unknown=False)
    else:
        run.rejected.judge_older_versions(run.destination.held_keys, only_unknown=run.backfill is None)


def advance(run: RunContext, checkpoint: Checkpoint, source: SourceDefinition | None = None) -> None:
    """Move the checkpoint: Snowflake has everything up to it. source: the source's definition to store, with the
    last checkpoint of the run."""
    with run.recorder.timed("checkpoint"):
        run.table.advance(checkpoint, source)
    run.recorder.last_watermark = checkpoint.last_watermark
    run.recorder.tell("checkpointed")
