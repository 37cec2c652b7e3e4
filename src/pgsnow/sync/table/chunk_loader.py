"""Loads chunks of a backfill, one after the other, each read in its own snapshot."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from types import TracebackType

import psycopg

from pgsnow.ledger.claim import ChunkClaim, Claim
from pgsnow.model.backfill import Chunk
from pgsnow.model.errors import LeaseLost, PgsnowError
from pgsnow.postgres.read.chunk_reader import read_chunk
from pgsnow.postgres.read.last_watermark import LastWatermark
from pgsnow.sync.load.choose import BackfillFacts, LoadFacts
from pgsnow.sync.load.claimed_table import ClaimedTable
from pgsnow.sync.load.destination import Destination, destination_of
from pgsnow.sync.load.direct_copy import Attempts
from pgsnow.sync.load.target import TargetGone
from pgsnow.sync.pipeline.load_batches import LoadBatchWriter, PageStream
from pgsnow.sync.pipeline.rejected_rows import RejectedRows
from pgsnow.sync.pipeline.spool import Spool
from pgsnow.sync.runtime.context import EngineContext
from pgsnow.sync.runtime.heartbeat import Heartbeat
from pgsnow.sync.runtime.planner import Prepared
from pgsnow.sync.runtime.recorder import Recorder
from pgsnow.sync.table.throttle import Throttle


class ChunkLoader:
    """For one thread. A context manager: it keeps its folder for part files from one chunk to the next."""

    def __init__(
        self, engine: EngineContext, prepared: Prepared, conn: psycopg.Connection, run_id: str
    ) -> None:
        """conn: for small queries; may be shared with other threads."""
        self._engine = engine
        self._prepared = prepared
        self._conn = conn
        self._spool = Spool(run_id)

    def __enter__(self) -> ChunkLoader:
        self._spool.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._spool.__exit__(kind, error, trace)

    def load(
        self,
        taken: ChunkClaim,
        recorder: Recorder,
        throttle: Throttle,
        finish: Callable[[Claim, Chunk], None],
    ) -> None:
        """Load the chunk, clean up, and release the claim in any case.

        recorder: of this chunk alone. finish: called once all rows are in the target, to record the chunk in the
        ledger. Raises TargetGone if the table was dropped, and with it the chunks that were done; LeaseLost if another
        worker has claimed the chunk; and what reading, transforming and loading raise.
        """
        table = ClaimedTable(self._engine.ledger, taken.claim)
        destination = destination_of(self._engine, self._prepared.plan, table, recorder)
        try:
            with Heartbeat(self._engine.ledger.leases, [taken.claim]):
                destination.batches.cleanup()  # of earlier attempts
                finish(taken.claim, self._load(taken, destination, recorder, throttle))
                destination.batches.cleanup(wait=True)
        except TargetGone:
            with contextlib.suppress(LeaseLost):  # by now the ledger lists these batches under the table
                destination.batches.cleanup()
            raise
        except LeaseLost:
            destination.batches.abandon()
            raise
        finally:
            with contextlib.suppress(PgsnowError):  # the ledger detects by itself that the worker has ended
                self._engine.ledger.leases.release([taken.claim])

    def _load(
        self, taken: ChunkClaim, destination: Destination, recorder: Recorder, throttle: Throttle
    ) -> Chunk:
        """The chunk with its counts, once all its rows are in the target or in the shadow table."""
        engine, plan, chunk = self._engine, self._prepared.plan, taken.chunk
        rejected = RejectedRows(
            plan, self._prepared.transform, engine.ledger, taken.claim, recorder, self._conn
        )
        attempts = Attempts(not_after=taken.fence - 1, earlier=chunk.fences[:-1])
        loader = destination.loader(LoadFacts(backfill=BackfillFacts(taken.fence, taken.replaces, attempts)))
        writer = LoadBatchWriter(
            plan, taken.claim.fence, self._spool, rejected, recorder, engine.stop, uploads=destination.uploads
        )
        last = LastWatermark(plan) if plan.watermark else None
        rows = 0
        with closing(read_chunk(engine.source, plan, chunk.range, last)) as read:
            pages = PageStream(throttle.pass_on(read), recorder)
            if pages.has_pages():
                rejected.apply_limits(destination.prepare().limits)
            for batch in writer.batches(pages):
                rejected.flush()
                loader.load(batch)
                rejected.resolve_loaded()
                rows += batch.rows
        rejected.flush()
        return replace(
            chunk,
            done=True,
            rows=rows,
            rejected=recorder.rows_rejected,
            size=throttle.size,
            last_watermark=last.text if last else None,
        )
