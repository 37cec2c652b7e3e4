"""`load_every`: what changed is staged by each tick, and loaded by few of them.

Between two loads nothing is sent that a warehouse is needed for. docs/decisions/21-staged-now-loaded-later.md shows why
nothing is lost, doubled or overtaken.
"""

from __future__ import annotations

from dataclasses import replace

from pgsnow.model.duration import format_duration
from pgsnow.model.errors import PgsnowError, StagedRowsLost, StagingRefused, TargetQueryFailed
from pgsnow.postgres.incremental.window import UNBOUNDED
from pgsnow.postgres.read.reader import open_reader
from pgsnow.sync.pipeline.load_batches import LoadBatchWriter
from pgsnow.sync.pipeline.spool import Spool
from pgsnow.sync.table.context import RunContext
from pgsnow.sync.table.load_schedule import is_much

CANNOT_BE_LOADED = (StagedRowsLost, TargetQueryFailed, StagingRefused)
"""What a new read mends, or else tells of itself."""


def staged_first(run: RunContext) -> RunContext | None:
    """None: all is done, what changed is staged and what was due is loaded. Else the run that goes on at once, with
    nothing left in the stage that would be older than what it loads."""
    if not may_wait(run):
        return caught_up(run)
    if not stage_changes(run):
        return caught_up(run)
    if run.destination.target.made:
        run.ledger.checkpoints.forget(run.claim)
        run.staged.forgotten()
        run.progress.events.append("the target was gone: everything is read again")
        return replace(run, checkpoint=None)
    if run.loads or is_much(run.plan.config, run.staged.waiting):
        return loaded(run)
    return None


def may_wait(run: RunContext) -> bool:
    """As far as is known before a snapshot: only changes wait, of a table that is as it was."""
    everything = run.refresh or run.checkpoint is None or (run.probe and run.probe.full_read is not None)
    as_it_was = run.because is None and not run.drift.has_work and not run.replaces
    return run.plan.config.load_every > 0 and not run.plan.whole and not everything and as_it_was


def stage_changes(run: RunContext) -> bool:
    """False: everything has to be read, and nothing was. The target may turn out to be gone: see `target.made`."""
    reading = open_reader(run.source, run.plan, run.checkpoint, run.horizon)
    staged, rows = run.staged, 0
    with reading, Spool(run.claim.run_id) as spool:
        if reading.full_read is not None:
            return False
        writer = LoadBatchWriter(
            run.plan, run.claim.fence, spool, run.quarantine, run.progress, run.stop,
            first_batch=staged.first_batch, first_row=staged.first_row, uploads=run.destination.ahead,
        )  # fmt: skip
        for unit in writer.units(reading.pages()):
            run.quarantine.flush()
            if run.destination.target.made:
                return True
            staged.put(unit)
            rows += unit.rows
            run.quarantine.resolve()
            if reading.resumable and not run.destination.target.made:
                staged.keep(reading.checkpoint(), None)
        run.quarantine.flush()
        known = run.destination.target.to_remember(run.drift)
        if run.destination.target.made:
            return True
        if not staged.keep(reading.checkpoint(), known):
            run.ledger.checkpoints.advance(run.claim, reading.checkpoint(), known)
    if rows:
        within = format_duration(run.plan.config.load_every)
        run.progress.events.append(f"staged {rows} row{'s' * (rows != 1)}, to be loaded within {within}")
    return True


def caught_up(run: RunContext) -> RunContext:
    """The run that goes on once nothing waits in the stage any more."""
    if not run.staged.waiting:
        return run
    if reads_everything(run):
        return gone_back(run, "everything is")
    return loaded(run) or run


def loaded(run: RunContext) -> RunContext | None:
    """Load what waits. Not None: it could not be loaded, and this run is to read it again."""
    if not run.staged.waiting:
        return None
    try:
        run.staged.load(run.plan.config.max_rows_per_load)
    except CANNOT_BE_LOADED as error:
        return read_again(run, error)
    return None


def read_again(run: RunContext, error: PgsnowError) -> RunContext:
    """From where the loading is; from the beginning, if that is because the target has gone."""
    run.destination.target.ensure_anew()
    if run.destination.target.made:
        run.staged.forgotten()
        run.progress.events.append("the target was gone: everything is read again")
        return replace(run, checkpoint=None)
    return gone_back(run, str(error))


def gone_back(run: RunContext, why: str) -> RunContext:
    checkpoint = run.staged.give_up(why)
    if checkpoint is not None and run.drift.by_xid:
        checkpoint = checkpoint.evolve(low=UNBOUNDED)
    return replace(run, checkpoint=checkpoint)


def reads_everything(run: RunContext) -> bool:
    """Then what waits need not be loaded first."""
    found = run.probe.full_read if run.probe else None
    reasons = (run.because, run.drift.full_read, found)
    everything = run.refresh or run.checkpoint is None or any(reason is not None for reason in reasons)
    return everything or run.plan.whole or run.replaces
