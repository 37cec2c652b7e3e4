"""Loads chunks of one table, one after the other: in the target, in the ledger, swept, given back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from types import TracebackType

import psycopg

from pgsnow.ledger.claim import ChunkClaim, Claim
from pgsnow.model.backfill import Chunk
from pgsnow.model.errors import LeaseLost, PgsnowError
from pgsnow.sync.load.destination import Destination
from pgsnow.sync.pipeline.load_batches import LoadBatchWriter
from pgsnow.sync.pipeline.rejected_rows import RejectedRows
from pgsnow.sync.pipeline.spool import Spool
from pgsnow.sync.runtime.context import EngineContext
from pgsnow.sync.runtime.heartbeat import Heartbeat
from pgsnow.sync.runtime.planner import Prepared
from pgsnow.sync.runtime.recorder import Recorder
from pgsnow.sync.table.chunk import load_chunk
from pgsnow.sync.table.chunk_run import ChunkRun
from pgsnow.sync.table.throttle import Throttle


class ChunkLoader:
    """A context manager, for one thread: it has a session in Snowflake and a folder for part files of its own."""

    def __init__(
        self, means: EngineContext, prepared: Prepared, conn: psycopg.Connection, run_id: str
    ) -> None:
        """conn: for small questions; other threads may ask theirs on it too."""
        self._means = means
        self._prepared = prepared
        self._conn = conn
        self._spool = Spool(run_id)
        self._destination: Destination | None = None

    def __enter__(self) -> ChunkLoader:
        self._spool.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._destination is not None:
            self._destination.close()
        self._spool.__exit__(kind, error, trace)

    def load(
        self, taken: ChunkClaim, tally: Recorder, pace: Throttle, done: Callable[[Claim, Chunk], None]
    ) -> bool:
        """False: the target had gone, and with it what was done of the backfill. done: is called once the chunk is in
        the target, to tell the ledger. Whatever happens, the chunk is given back. Raises what load_chunk raises."""
        run = self._run(taken.claim, tally)
        try:
            with Heartbeat(self._means.ledger.leases, [taken.claim]):
                run.destination.batches.sweep()  # what an earlier attempt has left
                if taken.replaces:
                    run.destination.beside.gather(taken.fence)
                run.destination.units.go_straight(not_after=taken.fence - 1, earlier=taken.chunk.fences[:-1])
                writer = LoadBatchWriter(
                    run.plan, run.claim.fence, self._spool, run.quarantine, run.progress, run.stop,
                    uploads=run.destination.ahead,
                )  # fmt: skip
                loaded = load_chunk(run, taken.chunk, writer, pace)
                if loaded is None:
                    return False
                done(taken.claim, loaded)
                run.destination.batches.sweep()
                return True
        except LeaseLost:
            if not run.destination.target.gone:
                run.destination.batches.abandon()
                raise
            with contextlib.suppress(LeaseLost):  # the ledger has what is swept here as the table's by now
                run.destination.batches.sweep()
            return False
        finally:
            with contextlib.suppress(PgsnowError):  # a ledger that does not answer finds out by itself
                self._means.ledger.leases.release([taken.claim])

    def _run(self, claim: Claim, tally: Recorder) -> ChunkRun:
        means, plan = self._means, self._prepared.plan
        destination = Destination(
            means.settings.snowflake, plan, means.ledger, claim, tally, means.stop, means.stagings,
            session=self._destination.session.handed_on() if self._destination else None,
        )  # fmt: skip
        self._destination = destination
        quarantine = RejectedRows(
            plan, self._prepared.transform, means.ledger, claim, tally, self._conn, destination.target.limits
        )
        return ChunkRun(plan, claim, means.source, means.ledger, quarantine, destination, tally, means.stop)
