"""A full read of a large table in chunks; each chunk is recorded in the ledger once it is in the target.

Changes made in the meantime are read afterwards, from the checkpoint that was captured before the first chunk.
docs/decisions/17-a-backfill-in-chunks.md shows why no change is missed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from pgsnow.model.backfill import Backfill, Chunk, ChunkCounts, layout_of
from pgsnow.model.checkpoint import WENT_BACK, Checkpoint
from pgsnow.model.config.sync_config import LateRows, TableMode
from pgsnow.model.errors import LeaseLost
from pgsnow.model.sentences import counted
from pgsnow.postgres.read.chunk_reader import BackfillPlan, plan_backfill
from pgsnow.postgres.read.last_watermark import largest
from pgsnow.sync.load.choose import BackfillFacts, LoadFacts
from pgsnow.sync.load.direct_copy import Attempts
from pgsnow.sync.load.target import TargetGone
from pgsnow.sync.table.chunk_pool import ChunkPool
from pgsnow.sync.table.context import RunContext
from pgsnow.sync.table.throttle import MEGABYTE


@dataclass(frozen=True, slots=True)
class BackfillDone:
    """All chunks of `work` are in the target; the next read starts from `checkpoint`. The ledger keeps the backfill
    until the checkpoint is moved."""

    work: Backfill
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class ChunksRemain:
    """Other processes are still loading chunks; a later run continues once they are done."""

    counts: ChunkCounts


def backfill(run: RunContext) -> BackfillDone | ChunksRemain | None:
    """Begin or resume a backfill if everything must be read and that is more than one chunk; else None."""
    if not may_be_needed(run):
        return None
    start = plan_backfill(
        run.source, run.plan, run.checkpoint, run.horizon, full=run.options.refresh, because=run.because
    )
    if start is None or len(start.chunks) == 1:
        return None
    known = run.ledger.backfills.current(run.claim)
    if run.destination.prepare().created:  # or it is not as it was: the loaded chunks are lost
        run.destination.batches.inherit(left_behind(known.done) if known else ())
        known = None
    else:
        run.table.check_fence(run.destination.newest_fence())
    run.table.because = None
    work = resume(run, start, known) or begin(run, start, prunes=must_prune(run, start, known))
    run.recorder.full_read = work.reason
    try:
        counts = load_chunks(run, work)
    except TargetGone:
        run.recorder.events.append("the target was gone: the backfill starts over")
        run.destination.prepare_again()
        return backfill(replace(run, checkpoint=None, resync=work.replaces))
    return ChunksRemain(counts) if counts.left else finish(run, work)


def may_be_needed(run: RunContext) -> bool:
    """False if it is already clear that not everything must be read, or not in chunks."""
    reasons = (run.because, run.probe.full_read if run.probe else None)
    everything = (
        run.checkpoint is None or run.options.refresh or any(reason is not None for reason in reasons)
    )
    config = run.plan.config
    lossless = config.mode is TableMode.XMIN or config.late_rows is LateRows.LOSSLESS
    return everything and lossless and not run.plan.whole


def must_prune(run: RunContext, start: BackfillPlan, known: Backfill | None) -> bool:
    """True if the target may hold rows that the source does not have: by what this run knows, or by what the
    unfinished backfill knew, or because the source has lost rows of chunks that are loaded."""
    started_over = known is not None and (known.prunes or start.went_back(known.checkpoint))
    return run.prunes or start.reason in WENT_BACK or started_over


def resume(run: RunContext, start: BackfillPlan, known: Backfill | None) -> Backfill | None:
    """The unfinished backfill of an earlier run, if its chunks still fit the table and the configuration."""
    if known is None:
        return None
    run.destination.batches.inherit(left_behind(known.done))
    if known.layout != layout_of(run.plan) or not start.continues(known.checkpoint):
        run.recorder.events.append("the backfill starts over: the table or its configuration was altered")
        return None
    if (run.options.deletes and not known.prunes) or (run.replaces_content and not known.replaces):
        return None
    if known.replaces:
        run.destination.keep_shadow(known.fence)
    run.recorder.events.append(
        f"the backfill continues with {len(known.left)} of {len(known.chunks)} chunks: {known.reason}"
    )
    return known


def begin(run: RunContext, start: BackfillPlan, *, prunes: bool) -> Backfill:
    """Record a new backfill in the ledger; it replaces any current one."""
    run.recorder.events.append(f"backfill in {len(start.chunks)} chunks: {start.reason}")
    if run.replaces_content and run.reshaped:
        run.destination.prepare(relaxed=True)
    work = run.table.begin_backfill(
        layout_of(run.plan),
        start.checkpoint,
        start.chunks,
        prunes=prunes,
        reason=start.reason,
        replaces=run.replaces_content,
    )
    run.destination.batches.release_shadows()
    if work.replaces:
        run.destination.create_shadow(work.fence)
    return work


def load_chunks(run: RunContext, work: Backfill) -> ChunkCounts:
    """Load the remaining chunks, or leave them to other processes; returns the progress. Raises TargetGone."""
    if not run.options.leave_chunks:
        return ChunkPool(run, work).load()
    counts = run.ledger.backfills.counts(run.claim.table)
    if counts is None:
        raise TargetGone(f"{run.claim.table}: the backfill has ended")
    return counts


def finish(run: RunContext, work: Backfill) -> BackfillDone:
    """After all chunks: make sure that the target has each key once, or replace its content with the shadow table."""
    done = run.ledger.backfills.current(run.claim)
    if done is None or done.id != work.id:
        raise LeaseLost(f"{run.claim.table}: the backfill has ended")
    run.destination.batches.inherit(left_behind(done.chunks))
    attempts = Attempts(not_after=done.fence - 1, given_up=done.given_up)
    facts = BackfillFacts(done.fence, done.replaces, attempts)
    run.destination.loader(LoadFacts(backfill=facts, other_keys=run.drift.replace)).finish()
    if done.rejected:
        run.rejected.reload_open_errors()
    rows, size = sum(chunk.rows for chunk in done.chunks), sum(chunk.size for chunk in done.chunks)
    run.recorder.events.append(
        f"backfill: {len(done.chunks)} chunks, {counted(rows, 'row')}, {size / MEGABYTE:.0f} MB"
    )
    return BackfillDone(done, work.checkpoint.evolve(last_watermark=newest_watermark(run, done)))


def left_behind(chunks: Iterable[Chunk]) -> list[str]:
    """Batches that failed attempts at chunks have not cleaned up."""
    return [batch for chunk in chunks for batch in chunk.open_batches]


def newest_watermark(run: RunContext, work: Backfill) -> str | None:
    """The largest watermark of all chunks."""
    if run.plan.watermark is None:
        return None
    return largest(run.plan, (chunk.last_watermark for chunk in work.chunks))
