"""Rows of some keys, read again as they are in the source now and loaded like others."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

from pgsnow.postgres.incremental.streaming import take_log_point
from pgsnow.postgres.read.by_key import read_keys
from pgsnow.sync.load.choose import LoadFacts
from pgsnow.sync.pipeline.load_batches import LoadBatchWriter, PageStream
from pgsnow.sync.pipeline.row_keys import Key
from pgsnow.sync.pipeline.spool import Spool
from pgsnow.sync.table.context import RunContext


def load_keys(run: RunContext, keys: Sequence[Key], *, selected: bool = False, first_batch: int = 0) -> None:
    """Load the rows of these keys (selected: only those that meet `where:`); the checkpoint does not move, except that
    creating the target forgets it. first_batch: as in LoadBatchWriter. Idempotent. Raises what reading and loading
    raise."""
    with Spool(run.claim.run_id) as spool:
        pages = PageStream(read_keys(run.source, run.plan, keys, selected=selected), run.recorder)
        if pages.has_pages():
            run.rejected.apply_limits(run.destination.prepare().limits)
        loader = run.destination.loader(LoadFacts())
        writer = LoadBatchWriter(
            run.plan, run.claim.fence, spool, run.rejected, run.recorder, run.stop, first_batch=first_batch
        )
        for batch in writer.batches(pages):
            run.rejected.flush()
            loader.load(batch)
        run.rejected.flush()
    checkpoint = run.claim.checkpoint
    if checkpoint is not None and checkpoint.log is not None and not run.claim.staged:
        settle_at_present(run)


def settle_at_present(run: RunContext) -> None:
    """Note that rows were just read from the source and loaded, which the log shows in an older state first."""
    with closing(run.source.connect()) as conn:
        run.table.settled = take_log_point(conn).lsn
    settle(run)


def settle(run: RunContext) -> None:
    """Note in the checkpoint that the target may have changes of the log up to where these rows were read."""
    checkpoint, settled = run.claim.checkpoint, run.table.settled
    if checkpoint is not None and checkpoint.log is not None and settled > checkpoint.log.settled:
        run.table.advance(checkpoint.evolve(log=replace(checkpoint.log, settled=settled)))
    run.table.settled = 0
