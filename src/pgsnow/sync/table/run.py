"""The story of one table: read what changed, transform, stage, merge, and only then move the checkpoint.

Crash anywhere and the same rows come again; the merge is idempotent, so nothing is lost and nothing doubled.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pgsnow.model.batch import LoadBatch
from pgsnow.model.checkpoint import Checkpoint
from pgsnow.model.config.sync_config import TableMode
from pgsnow.model.evolution.drift import SourceDefinition
from pgsnow.postgres.incremental.probe import idle_checkpoint
from pgsnow.postgres.read.reader import Reader, open_reader
from pgsnow.sync.pipeline.load_batches import LoadBatchWriter
from pgsnow.sync.pipeline.spool import Spool
from pgsnow.sync.table.backfill import backfill
from pgsnow.sync.table.context import RunContext
from pgsnow.sync.table.deferred_load import staged_first


def sync_table(run: RunContext) -> None:
    """One table, once. Raises what stopped it; the ledger then still tells where to go on from."""
    sweep_but_what_is_gathered(run)
    at_once = staged_first(run)
    if at_once is None:
        return
    run = follow_the_source(at_once)
    if nothing_to_load(run):
        return
    run = backfill(run)
    if others_load_the_rest(run):
        return
    if not load_changes(run):
        load_everything(run)
    sweep_all(run)


def sweep_but_what_is_gathered(run: RunContext) -> None:
    """Earlier runs may have left what is of no use to anybody, and a content that is not whole yet."""
    if run.checkpoint is None and run.claim.open_batches:
        known = run.ledger.backfills.current(run.claim)
        if known is not None and known.replaces:
            run.destination.beside.keep(known.fence)
    run.destination.batches.sweep()


def sweep_all(run: RunContext) -> None:
    """Everything is in the target: what it was staged and gathered in is of no use any more."""
    run.destination.beside.keep(None)
    run.destination.batches.sweep()


def follow_the_source(run: RunContext) -> RunContext:
    """First the target's columns become those of the source as it is now; what must be read is known then."""
    evolved = run.destination.target.evolve(run.drift)
    if evolved is None:
        forget_the_target(run)
        return replace(run, checkpoint=None)
    return replace(run, because=run.drift.full_read or evolved.incomplete)


def nothing_to_load(run: RunContext) -> bool:
    """A table that is read as a whole, and was busy with what an earlier run left behind alone."""
    if not run.plan.whole or run.probe is None or run.checkpoint is None:
        return False
    if run.probe.busy or run.refresh or run.because is not None:
        return False
    advance(
        run,
        idle_checkpoint(run.probe, run.plan, run.checkpoint, run.horizon),
        run.destination.target.to_remember(run.drift),
    )
    return True


def others_load_the_rest(run: RunContext) -> bool:
    """Of a backfill: a later tick goes on once they are done."""
    return run.progress.left_to_others is not None


def load_changes(run: RunContext) -> bool:
    """Everything since the checkpoint, unit by unit. False: the target had gone, and needs everything there is."""
    reading = open_reader(
        run.source, run.plan, run.checkpoint, run.horizon,
        full=run.everything, because=run.because, content_hash=run.probe.content_hash if run.probe else None,
        whole_leaves=run.whole_leaves,
    )  # fmt: skip
    with reading, Spool(run.claim.run_id) as spool:
        run.progress.full_read = reading.full_read or (run.backfill.reason if run.backfill else None)
        writer = LoadBatchWriter(
            run.plan, run.claim.fence, spool, run.quarantine, run.progress, run.stop,
            uploads=run.destination.ahead,
        )  # fmt: skip
        if reading.full_read is not None and run.replaces:
            load_whole(run, writer.units(reading.pages()), relaxed=run.reshaped)
        elif not load_units(run, reading, writer.units(reading.pages())):
            forget_the_target(run)
            return False
        advance(run, reading.checkpoint(), run.destination.target.to_remember(run.drift))
    return True


def load_everything(run: RunContext) -> None:
    """For a target that was made only now."""
    load_changes(replace(run, checkpoint=None, backfill=None))


def load_units(run: RunContext, reading: Reader, units: Iterable[LoadBatch]) -> bool:
    """One by one into the target, each remembered where a later run can go on after it. False: as `load_changes`."""
    if is_first_load(run, reading):
        run.destination.units.go_straight()
    for unit in units:
        run.quarantine.flush()
        run.destination.units.load(unit)
        if run.destination.target.made and reading.full_read is None:
            return False
        run.quarantine.resolve()
        if reading.resumable:
            advance(run, reading.checkpoint())
    run.quarantine.flush()
    run.destination.units.settle()
    finish_full_read(run)
    return True


def is_first_load(run: RunContext, reading: Reader) -> bool:
    """Is everything read, through one snapshot, and remembered only once all of it is there?"""
    return reading.full_read is not None and run.checkpoint is None and not reading.resumable


def load_whole(run: RunContext, units: Iterable[LoadBatch], *, relaxed: bool) -> None:
    """All units into one staging table, and from there into the target by one statement."""
    for unit in units:
        run.quarantine.flush()
        run.destination.whole.gather(unit)
    run.quarantine.flush()
    if run.plan.config.mode is TableMode.APPEND and not run.refresh:
        run.destination.whole.append()
    else:
        run.destination.whole.replace(relaxed=relaxed)
    run.quarantine.settle()


def forget_the_target(run: RunContext) -> None:
    """What was loaded before went with the table that somebody dropped; what changed since is not enough."""
    run.ledger.checkpoints.forget(run.claim)
    run.progress.events.append("the target was gone: everything is read again")


def advance(run: RunContext, checkpoint: Checkpoint, source: SourceDefinition | None = None) -> None:
    """Snowflake has everything up to here: remember that, and with the last of it what the source looks like."""
    with run.progress.timed("checkpoint"):
        if is_set_back(run.checkpoint, checkpoint):
            run.ledger.checkpoints.forget(run.claim)
        run.ledger.checkpoints.advance(run.claim, checkpoint, source)
    run.progress.last_watermark = checkpoint.last_watermark
    run.progress.tell("checkpointed")


def is_set_back(before: Checkpoint | None, after: Checkpoint) -> bool:
    """True if the server itself was put back to an older state. Everything has been read then, and the ledger, which
    moves no checkpoint backward, is told to start anew."""
    return before is not None and before.identity == after.identity and after.x < before.x


def finish_full_read(run: RunContext) -> None:
    """After a full read the target is there, even if it is empty, and if it prunes it holds nothing else.

    Rows that such a read did not write are deleted, unless rows were rejected: their older versions in the target
    are better than nothing.
    """
    if run.progress.full_read is not None and run.progress.load_units == 0:
        run.destination.target.ensure()
    if not run.prunes or (run.backfill is not None and run.backfill.replaces):
        return
    if run.progress.rows_rejected or (run.backfill and run.backfill.rejected):
        run.progress.events.append(
            "rows that are gone from the source were kept, because some rows were rejected"
        )
    elif deleted := run.destination.units.prune(run.backfill.fence if run.backfill else run.claim.fence):
        run.progress.events.append(f"deleted {deleted} rows that are gone from the source")
