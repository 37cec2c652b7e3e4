"""Thread pool that loads the chunks of one backfill.

If a thread fails, the others take no more chunks, but finish the ones that they have.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from pgsnow.ledger.claim import ChunkClaim, Claim
from pgsnow.model.backfill import Backfill, Chunk, ChunkCounts
from pgsnow.model.errors import LeaseLost, ShuttingDown, TooManyRejected
from pgsnow.model.sentences import counted, were
from pgsnow.sync.load.target import TargetGone
from pgsnow.sync.runtime.recorder import Recorder
from pgsnow.sync.table.context import RunContext
from pgsnow.sync.table.throttle import RateMeter, Throttle


class ChunkPool:
    """Can be used once: `load`."""

    def __init__(self, run: RunContext, work: Backfill) -> None:
        self._run = run
        self._work = work
        self._size = run.plan.config.max_parallel_chunks
        self._threads = max(1, min(self._size, len(work.left)))
        self._speed = RateMeter(len(work.left), run.plan.config.max_mb_per_s, run.stop)
        self._lock = threading.Lock()
        self._failures: list[Exception] = []

    def load(self) -> ChunkCounts:
        """Load chunks until none can be claimed; returns the progress, as other processes may be loading chunks too.

        Raises TargetGone, or else the error of the first thread that failed.
        """
        if self._threads == 1:
            self._guarded()
        else:
            with ThreadPoolExecutor(self._threads, thread_name_prefix="pgsnow-chunk") as pool:
                for _ in range(self._threads):
                    pool.submit(self._guarded)
        if self._failures:
            gone = [error for error in self._failures if isinstance(error, TargetGone)]
            raise (gone or self._failures)[0]
        counts = self._run.ledger.backfills.counts(self._run.claim.table)
        if counts is None:
            raise LeaseLost(f"{self._run.claim.table}: the backfill has ended")
        return counts

    def _guarded(self) -> None:
        try:
            with self._run.chunk_loader() as loader:
                while self._may_go_on() and (taken := self._next()) is not None:
                    recorder = self._run.recorder.for_thread()
                    try:
                        loader.load(taken, recorder, Throttle(self._speed), self._finish)
                    finally:
                        self._add(recorder)
        except Exception as error:
            with self._lock:
                self._failures.append(error)

    def _may_go_on(self) -> bool:
        if self._run.stop.is_set():
            raise ShuttingDown(f"{self._run.claim.table}: stopped between two chunks of the backfill")
        with self._lock:
            return not self._failures

    def _next(self) -> ChunkClaim | None:
        claim, ledger = self._run.claim, self._run.ledger
        taken = ledger.backfills.claim_chunk(
            {claim.table: self._size}, run_id=claim.run_id, holder=claim.holder
        )
        if taken is not None and (taken.claim.chunk is None or taken.claim.chunk.backfill != self._work.id):
            ledger.leases.release([taken.claim])
            raise LeaseLost(f"{claim.table}: another run began another backfill")
        return taken

    def _finish(self, claim: Claim, chunk: Chunk) -> None:
        """Record the chunk as done. Observers are notified in the order in which chunks are done."""
        with self._lock:
            counts = self._run.ledger.backfills.finish_chunk(claim, chunk)
            self._speed.chunk_done(counts.left)
            done, of = counts.done, counts.chunks
            detail = f"{done} of {of}, {self._speed.text}"
            self._run.recorder.tell(
                "chunk", rows=chunk.rows, size=chunk.size, detail=detail, done=done, of=of
            )

    def _add(self, recorder: Recorder) -> None:
        """Rejected rows are counted over all chunks of the run."""
        total, limit = self._run.recorder, self._run.plan.config.max_rejected_rows
        with self._lock:
            total.add(recorder, threads=self._threads)
            rejected = total.rows_rejected
        if rejected > limit:
            raise TooManyRejected(
                f"{self._run.claim.table}: more than {counted(limit, 'row')} {were(limit)} rejected"
            )
