"""A full read of a large table: chunk by chunk, each remembered once it is in the target, whoever crashes in between.

What changes while it goes on is read afterwards, from the checkpoint that was captured before the first chunk.
docs/decisions/17-a-backfill-in-chunks.md shows why nothing is missed.
"""

from __future__ import annotations

from dataclasses import replace

from pgsnow.model.backfill import Backfill, Chunk, layout_of
from pgsnow.model.config import LateRows, TableMode
from pgsnow.postgres.chunks import Outset, outset
from pgsnow.sync.chunk import load_chunk
from pgsnow.sync.pace import MEGABYTE, Pace
from pgsnow.sync.spool import Spool
from pgsnow.sync.table_run import TableRun
from pgsnow.sync.units import UnitWriter


def backfill(run: TableRun) -> TableRun:
    """If everything is to be read, and that is more than a chunk: all of it in the target, and the run that goes on
    from there. Else the run as it was."""
    if not may_be_due(run):
        return run
    start = outset(run.source, run.plan, run.checkpoint, run.horizon, full=run.refresh, because=run.because)
    if start is None or len(start.chunks) == 1:
        return run
    run.destination.ensure()  # first: a target that has to be made has nothing of the chunks that are done
    run.destination.made_target = False
    work = gone_on_with(run, start) or begun(run, start)
    filled = fill(run, work)
    if filled is None:
        run.progress.events.append("the target was gone: the backfill begins anew")
        return backfill(replace(run, checkpoint=None))
    return filled


def may_be_due(run: TableRun) -> bool:
    """As far as is known before a snapshot."""
    reasons = (run.because, run.probe.full_read if run.probe else None)
    everything = run.checkpoint is None or run.refresh or any(reason is not None for reason in reasons)
    config = run.plan.config
    lossless = config.mode is TableMode.XMIN or config.late_rows is LateRows.LOSSLESS
    return everything and lossless and not run.replaces


def gone_on_with(run: TableRun, start: Outset) -> Backfill | None:
    """The backfill that an earlier run has left unfinished, if its chunks are still what there is to be read."""
    known = run.ledger.backfill(run.claim)
    if known is None:
        return None
    if known.layout != layout_of(run.plan) or not start.follows(known.checkpoint):
        run.progress.events.append("the backfill begins anew: the table or its configuration was altered")
        return None
    if run.refresh and not known.prunes:
        return None
    run.progress.events.append(
        f"the backfill goes on with {len(known.left)} of {len(known.chunks)} chunks: {known.reason}"
    )
    return known


def begun(run: TableRun, start: Outset) -> Backfill:
    run.progress.events.append(f"backfill in {len(start.chunks)} chunks: {start.reason}")
    run.destination.from_nothing = True
    return run.ledger.begin_backfill(
        run.claim,
        layout_of(run.plan),
        start.checkpoint,
        start.chunks,
        prunes=run.prunes,
        reason=start.reason,
    )


def fill(run: TableRun, work: Backfill) -> TableRun | None:
    """Load the chunks that are left. None: the target had gone. Each is read through a snapshot of its own, which holds
    nothing up for longer than that takes."""
    run.progress.full_read = work.reason
    done = list(work.done)
    pace = Pace(len(work.left), run.plan.config.max_mb_per_s, run.stop)
    with Spool(run.claim.run_id) as spool:
        writer = UnitWriter(run.plan, run.claim.fence, spool, run.quarantine, run.progress, run.stop)
        for chunk in work.left:
            run.ledger.begin_chunk(run.claim, work, chunk)
            loaded = load_chunk(run, replace(chunk, last_watermark=newest(done)), writer, pace, work.before)
            if loaded is None:
                return None
            run.ledger.finish_chunk(run.claim, work, loaded)
            done.append(loaded)
            pace.chunk_done()
            tell(run, loaded, len(done), len(work.chunks), pace)
    run.destination.settle(not_after=work.before, given_up=work.given_up)
    rows, size = sum(chunk.rows for chunk in done), sum(chunk.size for chunk in done)
    run.progress.events.append(f"backfill: {len(done)} chunks, {rows} rows, {size / MEGABYTE:.0f} MB")
    checkpoint = work.checkpoint.evolve(last_watermark=newest(done))
    return replace(run, checkpoint=checkpoint, because=None, backfill=replace(work, chunks=tuple(done)))


def tell(run: TableRun, chunk: Chunk, done: int, of: int, pace: Pace) -> None:
    detail = f"{done} of {of}, {pace.text}"
    run.progress.tell("chunk", rows=chunk.rows, size=chunk.size, detail=detail, done=done, of=of)


def newest(done: list[Chunk]) -> str | None:
    """The largest watermark so far; chunks are done in order."""
    return done[-1].last_watermark if done else None
