"""One chunk of whichever backfill has one to take, by a process that has not begun it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence

import psycopg

from pgsnow.ledger.claim import ChunkClaim, Claim
from pgsnow.model.backfill import Chunk, ChunkCounts, layout_of
from pgsnow.model.config.sync_config import TableConfig
from pgsnow.model.errors import LeaseLost, SchemaMoved
from pgsnow.model.report import ChunkReport
from pgsnow.postgres.catalog.describe import fingerprints
from pgsnow.sync.runtime.context import EngineContext
from pgsnow.sync.runtime.log import logger
from pgsnow.sync.runtime.planner import Prepared, target_of
from pgsnow.sync.runtime.recorder import Recorder
from pgsnow.sync.table.throttle import RateMeter, Throttle


def new_run_id() -> str:
    return uuid.uuid4().hex[:16]


def claim_and_load_chunk(
    means: EngineContext, tables: Sequence[TableConfig], holder: str
) -> ChunkReport | None:
    """See Engine.take_chunk."""
    wanted = {table.name: table.max_parallel_chunks for table in tables}
    taken = means.ledger.backfills.claim_chunk(wanted, run_id=new_run_id(), holder=holder)
    if taken is None:
        return None
    try:
        with means.source.connect() as conn:
            return _Taken(means, taken).load(conn)
    except Exception:
        means.planner.forget(taken.claim.table)
        raise
    finally:
        means.ledger.leases.release(
            [taken.claim]
        )  # a second time, unless it never got as far as to be loaded


class _Taken:
    """A chunk and what is known once it is done."""

    def __init__(self, means: EngineContext, taken: ChunkClaim) -> None:
        self._means = means
        self._taken = taken
        self._began = time.monotonic()
        self._config = means.config.table(taken.claim.table)
        target = str(target_of(self._config, means.settings.snowflake))
        self._progress = Recorder(taken.claim.table, target, taken.claim.run_id, means.observer)
        self._speed = RateMeter(1, self._limit, means.stop)
        self._report: ChunkReport | None = None

    def load(self, conn: psycopg.Connection) -> ChunkReport:
        from pgsnow.sync.table.chunk_loader import ChunkLoader  # Arrow: no chunk, no import

        claim = self._taken.claim
        prepared = self._planned(conn)
        with ChunkLoader(self._means, prepared, conn, claim.run_id) as worker:
            found = worker.load(self._taken, self._progress, Throttle(self._speed), self._done)
        if not found or self._report is None:
            raise LeaseLost(f"{claim.table}: the target was gone; the backfill begins anew")
        return self._report

    def _planned(self, conn: psycopg.Connection) -> Prepared:
        claim = self._taken.claim
        mark = fingerprints(conn, [self._config.source]).get(self._config.source)
        prepared = self._means.planner.plan(conn, self._config, mark, claim.stored_definition)
        if layout_of(prepared.plan) != self._taken.layout:
            raise SchemaMoved(f"{claim.table}: its backfill was begun for another definition of the table")
        return prepared

    def _done(self, claim: Claim, chunk: Chunk) -> None:
        counts = self._means.ledger.backfills.finish_chunk(claim, chunk)
        seconds = time.monotonic() - self._began
        self._report = ChunkReport(
            claim.table, claim.run_id, chunk.number, chunk.rows, chunk.rejected, chunk.size,
            round(seconds, 3), counts.done, counts.left, counts.waiting,
        )  # fmt: skip
        self._tell(chunk, counts)

    def _tell(self, chunk: Chunk, counts: ChunkCounts) -> None:
        detail = f"{counts.done} of {counts.chunks}, {self._speed.text}"
        self._progress.tell(
            "chunk", rows=chunk.rows, size=chunk.size, detail=detail, done=counts.done, of=counts.chunks
        )
        logger(self._taken.claim.table, self._taken.claim.run_id).info(
            "chunk loaded", number=chunk.number, rows=chunk.rows, left=counts.left
        )

    @property
    def _limit(self) -> float | None:
        """So many megabytes a second for all that may be at work on the table at once."""
        limit = self._config.max_mb_per_s
        return None if limit is None else limit / self._config.max_parallel_chunks
