"""`log_spool_dir`: changes are kept in a folder while neither Snowflake's stage nor the bucket takes them, and are
uploaded afterwards. Imported only for that. docs/decisions/68-changes-kept-on-a-volume.md
"""

from __future__ import annotations

from pgsnow.model.batch import LoadBatch
from pgsnow.model.errors import LogSpoolUnusable, PgsnowError
from pgsnow.sync.load.deferred import staged_batch
from pgsnow.sync.load.loader import Deferred
from pgsnow.sync.pipeline.load_batches import batch_name
from pgsnow.sync.table.context import RunContext

AT_ONCE = 100
"""Batches that are uploaded before the ledger records it."""


def keep(run: RunContext, batch: LoadBatch, away: PgsnowError) -> Deferred:
    """Keep the batch in the folder instead of a stage. away: why it cannot be staged; it is raised if the folder cannot
    take the batch either."""
    if run.log_spool is None:
        raise away
    try:
        kept = run.log_spool.keep(batch.batch, [part.path for part in batch.parts])
    except LogSpoolUnusable as error:
        run.recorder.events.append(f"changes could not be kept in log_spool_dir: {error} ({error.advice})")
        raise away from None
    run.recorder.tell("kept")
    return Deferred(staged_batch(run.plan, batch, kept))


def upload_kept(run: RunContext) -> None:
    """Upload the table's batches that were kept, in order, and remove them from the folder. Idempotent. Raises
    StagedRowsLost if one cannot be had back, LogSpoolUnusable, and what an upload raises."""
    waiting, spool = [batch for batch in run.claim.staged if batch.kept is not None], run.log_spool
    if not waiting:
        return
    if spool is None:
        raise LogSpoolUnusable(
            f"{run.claim.table}: changes wait in log_spool_dir, which the configuration does not name any more",
            advice="Write `log_spool_dir` again, at least until they are loaded.",
        )
    for begin in range(0, len(waiting), AT_ONCE):
        some = waiting[begin : begin + AT_ONCE]
        for batch in some:
            run.destination.upload(batch, spool.parts_of(batch))
        run.table.kept_uploaded(some)
        spool.sweep(some[0].batch, [batch.batch for batch in run.claim.staged if batch.kept is not None])
    run.recorder.events.append(
        f"uploaded {len(waiting)} batch{'es' * (len(waiting) != 1)} from log_spool_dir"
    )


def end_keeping(run: RunContext, rows: int, away: PgsnowError | None) -> None:
    """After the run's changes are recorded. away: why they were kept, which is raised, as nothing can be loaded now;
    None: they are staged. Files of the table that the ledger does not know are removed, which a worker has left that
    was killed before it recorded them."""
    if away is not None:
        run.recorder.events.append(
            f"kept {rows} row{'s' * (rows != 1)} in log_spool_dir, until Snowflake can be reached"
        )
        raise away
    name = batch_name(run.plan, run.claim.fence, 0)
    if run.log_spool is not None and run.log_spool.holds(name):
        run.log_spool.sweep(name, [batch.batch for batch in run.claim.staged if batch.kept is not None])
