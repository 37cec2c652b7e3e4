"""Loads one chunk of a backfill that another process has begun."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from contextlib import suppress

import psycopg

from pgsnow.ledger.claim import ChunkClaim, Claim
from pgsnow.model.backfill import Chunk, layout_of
from pgsnow.model.config.sync_config import TableConfig
from pgsnow.model.errors import PgsnowError, SchemaMoved
from pgsnow.model.report import ChunkReport
from pgsnow.postgres.catalog.describe import fingerprints
from pgsnow.sync.runtime.context import EngineContext
from pgsnow.sync.runtime.log import logger
from pgsnow.sync.runtime.planner import Prepared
from pgsnow.sync.runtime.recorder import Recorder
from pgsnow.sync.runtime.report import failure_report, table_report
from pgsnow.sync.table.throttle import RateMeter, Throttle


def new_run_id() -> str:
    return uuid.uuid4().hex[:16]


def claim_and_load_chunk(
    engine: EngineContext, tables: Sequence[TableConfig], holder: str
) -> ChunkReport | None:
    """Load one unclaimed chunk of any of these tables; None: there is none. See Engine.take_chunk."""
    wanted = {table.name: table.max_parallel_chunks for table in tables}
    taken = engine.ledger.backfills.claim_chunk(wanted, run_id=new_run_id(), holder=holder)
    if taken is None:
        return None
    work = _Taken(engine, taken)
    try:
        with engine.source.connect() as conn:
            report = work.load(conn)
        work.log()
        return report
    except Exception as error:
        work.log(error)
        engine.planner.forget(taken.claim.table)
        raise
    finally:
        engine.ledger.leases.release(
            [taken.claim]
        )  # the loader has released it, unless it failed before that


class _Taken:
    """A claimed chunk, and its report once it is done."""

    def __init__(self, engine: EngineContext, taken: ChunkClaim) -> None:
        self._engine = engine
        self._taken = taken
        self._began = time.monotonic()
        self._config = engine.config.table(taken.claim.table)
        target = engine.targets[taken.claim.table]
        self._recorder = Recorder(taken.claim.table, target, taken.claim.run_id, engine.observer)
        self._report: ChunkReport | None = None

    def load(self, conn: psycopg.Connection) -> ChunkReport:
        # It imports Arrow, which is not needed without a chunk.
        from pgsnow.sync.table.chunk_loader import ChunkLoader

        limit = self._config.max_mb_per_s
        if limit is not None:  # shared by all workers that may load chunks of the table in parallel
            limit /= self._config.max_parallel_chunks
        self._speed = RateMeter(1, limit, self._engine.stop)
        with ChunkLoader(self._engine, self._planned(conn), conn, self._taken.claim.run_id) as loader:
            loader.load(self._taken, self._recorder, Throttle(self._speed), self._finish)
        if self._report is None:
            raise RuntimeError(f"{self._taken.claim.table}: a chunk was loaded and not recorded")
        return self._report

    def log(self, error: Exception | None = None) -> None:
        """Add the attempt to sync_logs and to the totals of the table; its own row of the ledger is that of the run
        that has begun the backfill. A ledger that does not answer has said so already, or will."""
        claim, recorder = self._taken.claim, self._recorder
        recorder.events.append(f"chunk {self._taken.chunk.number + 1} of a backfill")
        report = failure_report(recorder, error) if error else table_report(recorder, backfilled=True)
        with suppress(PgsnowError):
            self._engine.ledger.run_log.finish(
                [(claim, report)],
                cost=self._engine.config.cost,
                warehouse=self._engine.settings.snowflake.warehouse,
            )

    def _planned(self, conn: psycopg.Connection) -> Prepared:
        claim = self._taken.claim
        mark = fingerprints(conn, [self._config.source]).get(self._config.source)
        prepared = self._engine.planner.plan(conn, self._config, mark, claim.stored_definition)
        if layout_of(prepared.plan) != self._taken.layout:
            raise SchemaMoved(f"{claim.table}: its backfill was begun for another definition of the table")
        return prepared

    def _finish(self, claim: Claim, chunk: Chunk) -> None:
        """Record the chunk as done, and notify the observer and the log."""
        counts = self._engine.ledger.backfills.finish_chunk(claim, chunk)
        self._report = ChunkReport(
            claim.table, claim.run_id, chunk.number, chunk.rows, chunk.rejected, chunk.size,
            round(time.monotonic() - self._began, 3), counts.done, counts.left, counts.waiting,
        )  # fmt: skip
        detail = f"{counts.done} of {counts.chunks}, {self._speed.text}"
        self._recorder.tell(
            "chunk", rows=chunk.rows, size=chunk.size, detail=detail, done=counts.done, of=counts.chunks
        )
        logger(claim.table, claim.run_id).info(
            "chunk loaded", number=chunk.number, rows=chunk.rows, left=counts.left
        )
