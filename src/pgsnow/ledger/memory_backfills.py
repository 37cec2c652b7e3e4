"""Backfills, in the ledger in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pgsnow.ledger.memory_worker import MemoryWorker
from pgsnow.ledger.store import ChunkClaim, Claim
from pgsnow.ledger.values import FENCES_OF_A_CLAIM
from pgsnow.model.backfill import Backfill, Chunk, ChunkCounts, ChunkId, Range
from pgsnow.model.checkpoint import Checkpoint


class MemoryBackfills(MemoryWorker):
    """What is left of each, and who loads it."""

    def backfill(self, claim: Claim) -> Backfill | None:
        with self.memory.lock:
            return self.memory.rows[claim.table].backfill_now()

    def begin_backfill(
        self,
        claim: Claim,
        layout: str,
        checkpoint: Checkpoint,
        ranges: Sequence[Range],
        *,
        prunes: bool,
        reason: str,
        replaces: bool = False,
    ) -> Backfill:
        with self.memory.lock:
            row, number = self._fenced(claim), next(self.memory.ids)
            chunks = tuple(Chunk(at, of) for at, of in enumerate(ranges))
            row.end_backfill()
            fence = row.last_chunk_fence = max(claim.fence - FENCES_OF_A_CLAIM, row.last_chunk_fence + 1)
            row.backfill = Backfill(number, fence, layout, checkpoint, prunes, reason, chunks, replaces)
            row.checkpoint, row.filled_since = None, self.memory.clock()
            return row.backfill

    def claim_chunk(self, tables: Mapping[str, int], *, run_id: str, holder: str) -> ChunkClaim | None:
        with self.memory.lock:
            now = self.memory.clock()
            found = self._chunks.free(tables, now)
            if found is None:
                return None
            row = self.memory.rows[found.table]
            fences = self._chunks.grant(found, self._session, now + self._lease)
            claim = replace(self._claim(found.table, row, run_id, holder), checkpoint=None, fence=fences[-1])
            batches = tuple(row.chunks[found.chunk.number].open_batches)
            claim = replace(claim, open_batches=batches, chunk=ChunkId(found.backfill.id, found.chunk.number))
            chunk = replace(found.chunk, attempts=len(fences), fences=fences, open_batches=batches)
            return ChunkClaim(
                claim, chunk, found.backfill.layout, found.backfill.fence, found.backfill.replaces
            )

    def finish_chunk(self, claim: Claim, chunk: Chunk) -> ChunkCounts:
        with self.memory.lock:
            if not self._chunks.is_ours(claim):
                raise self._lost(claim)
            self._chunks.finish(claim, chunk)
            counts = self.chunk_counts(claim.table)
            assert counts is not None
            return counts

    def chunk_counts(self, table: str) -> ChunkCounts | None:
        with self.memory.lock:
            row = self.memory.rows.get(table)
            if row is None or row.backfill is None:
                return None
            held = self._chunks.held(row, self.memory.clock())
            return ChunkCounts(len(row.backfill.chunks), len(row.backfill.done), len(held))
