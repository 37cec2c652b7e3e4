"""A full read of a large table: chunk by chunk, each remembered once it is in the target, whoever crashes in between.

What changes while it goes on is read afterwards, from the checkpoint that was captured before the first chunk.
docs/decisions/17-a-backfill-in-chunks.md shows why nothing is missed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pgsnow.model.backfill import Backfill, Chunk, layout_of
from pgsnow.model.config.sync_config import LateRows, TableMode
from pgsnow.model.errors import LeaseLost
from pgsnow.postgres.read.chunk_reader import BackfillPlan, plan_backfill
from pgsnow.postgres.read.last_watermark import largest
from pgsnow.sync.table.chunk_pool import ChunkPool
from pgsnow.sync.table.context import RunContext
from pgsnow.sync.table.throttle import MEGABYTE


def backfill(run: RunContext) -> RunContext:
    """If everything is to be read, and that is more than a chunk: all of it in the target, and the run that goes on
    from there, unless `progress.left_to_others` tells that others are at work on it. Else the run as it was."""
    if not may_be_due(run):
        return run
    start = plan_backfill(
        run.source, run.plan, run.checkpoint, run.horizon, full=run.refresh, because=run.because
    )
    if start is None or len(start.chunks) == 1:
        return run
    run.destination.target.ensure()  # first: a target that has to be made has nothing of the chunks that are done
    run.destination.target.made = False
    work = gone_on_with(run, start) or begun(run, start)
    run = replace(run, resync=work.replaces)
    filled = fill(run, work)
    if filled is None:
        run.progress.events.append("the target was gone: the backfill begins anew")
        run.destination.target.look_again()
        return backfill(replace(run, checkpoint=None))
    return filled


def may_be_due(run: RunContext) -> bool:
    """As far as is known before a snapshot."""
    reasons = (run.because, run.probe.full_read if run.probe else None)
    everything = run.checkpoint is None or run.refresh or any(reason is not None for reason in reasons)
    config = run.plan.config
    lossless = config.mode is TableMode.XMIN or config.late_rows is LateRows.LOSSLESS
    return everything and lossless and not run.plan.whole


def gone_on_with(run: RunContext, start: BackfillPlan) -> Backfill | None:
    """The backfill that an earlier run has left unfinished, if its chunks are still what there is to be read."""
    known = run.ledger.backfills.current(run.claim)
    if known is None:
        return None
    run.destination.batches.take_over(left_behind(known.done))
    if known.layout != layout_of(run.plan) or not start.continues(known.checkpoint):
        run.progress.events.append("the backfill begins anew: the table or its configuration was altered")
        return None
    if (run.refresh and not known.prunes) or (run.replaces and not known.replaces):
        return None
    if known.replaces:
        run.destination.beside.gather(known.fence)
    run.progress.events.append(
        f"the backfill goes on with {len(known.left)} of {len(known.chunks)} chunks: {known.reason}"
    )
    return known


def begun(run: RunContext, start: BackfillPlan) -> Backfill:
    run.progress.events.append(f"backfill in {len(start.chunks)} chunks: {start.reason}")
    run.destination.target.from_nothing = True
    if run.replaces:
        run.destination.target.ensure(relaxed=run.reshaped)
    work = run.ledger.backfills.begin(
        run.claim,
        layout_of(run.plan),
        start.checkpoint,
        start.chunks,
        prunes=run.prunes,
        reason=start.reason,
        replaces=run.replaces,
    )
    run.destination.beside.keep(None)
    if work.replaces:
        run.destination.beside.gather(work.fence, make=True)
    return work


def fill(run: RunContext, work: Backfill) -> RunContext | None:
    """Load the chunks that are left, or leave them to others. The run that goes on from there, or that cannot yet
    because others are at work on some; None: the target had gone."""
    run.progress.full_read = work.reason
    counts = (
        run.ledger.backfills.counts(run.claim.table)
        if run.wishes.leave_chunks
        else ChunkPool(run, work).load()
    )
    if counts is None:
        return None
    if counts.left:
        run.progress.left_to_others = counts
        return run
    done = run.ledger.backfills.current(run.claim)
    if done is None or done.id != work.id:
        raise LeaseLost(f"{run.claim.table}: the backfill is not under way any more")
    run.destination.batches.take_over(left_behind(done.chunks))
    run.progress.backfilled = True
    if done.replaces:
        run.destination.beside.put_in_place(done.given_up)
    else:
        run.destination.units.settle(not_after=done.fence - 1, given_up=done.given_up)
    if done.rejected:
        run.quarantine.look_again()
    rows, size = sum(chunk.rows for chunk in done.chunks), sum(chunk.size for chunk in done.chunks)
    run.progress.events.append(f"backfill: {len(done.chunks)} chunks, {rows} rows, {size / MEGABYTE:.0f} MB")
    checkpoint = work.checkpoint.evolve(last_watermark=newest(run, done))
    return replace(run, checkpoint=checkpoint, because=None, backfill=done)


def left_behind(chunks: Iterable[Chunk]) -> list[str]:
    """Batches whose staging whoever loaded them did not come to sweep."""
    return [batch for chunk in chunks for batch in chunk.open_batches]


def newest(run: RunContext, work: Backfill) -> str | None:
    """The largest watermark of all chunks, whatever their order."""
    if run.plan.watermark is None:
        return None
    return largest(run.plan, (chunk.last_watermark for chunk in work.chunks))
