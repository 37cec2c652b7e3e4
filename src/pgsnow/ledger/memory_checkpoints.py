"""Checkpoints, in the ledger in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from pgsnow.ledger.memory_worker import MemoryWorker
from pgsnow.ledger.store import Claim
from pgsnow.model.checkpoint import Checkpoint, VirtualXids
from pgsnow.model.errors import LeaseLost
from pgsnow.model.evolution.drift import KnownSource


class MemoryCheckpoints(MemoryWorker):
    """How far each table is, and what a run has left in Snowflake."""

    def checkpoints(self) -> dict[str, Checkpoint]:
        with self.memory.lock:
            rows = self.memory.rows.items()
            return {table: row.checkpoint for table, row in rows if row.checkpoint is not None}

    def known_sources(self) -> dict[str, KnownSource]:
        with self.memory.lock:
            return {table: row.known for table, row in self.memory.rows.items() if row.known is not None}

    def advance(self, claim: Claim, checkpoint: Checkpoint, source: KnownSource | None = None) -> None:
        with self.memory.lock:
            row = self._forward(claim, checkpoint)
            row.end_backfill()
            row.checkpoint = checkpoint
            row.known = source or row.known

    def advance_idle(
        self,
        moves: Sequence[tuple[Claim, Checkpoint]],
        sources: Mapping[str, KnownSource] = MappingProxyType({}),
    ) -> list[str]:
        lost = []
        for claim, checkpoint in moves:
            try:
                self.advance(claim, checkpoint, sources.get(claim.table))
            except LeaseLost:
                lost.append(claim.table)
        return lost

    def remember_source(self, claim: Claim, source: KnownSource) -> None:
        with self.memory.lock:
            self._fenced(claim).known = source

    def forget(self, claim: Claim) -> None:
        with self.memory.lock:
            row = self._fenced(claim, chunks=True)
            row.end_backfill()
            row.checkpoint = None
            row.unstage()

    def open_batch(self, claim: Claim, batch: str) -> None:
        with self.memory.lock:
            batches = self._batches(claim)
            if batch not in batches:
                batches.append(batch)

    def close_batches(self, claim: Claim, batches: Iterable[str]) -> None:
        closed = frozenset(batches)
        with self.memory.lock:
            known = self._batches(claim)
            known[:] = [batch for batch in known if batch not in closed]
            if claim.chunk is None:
                self.memory.rows[claim.table].close_chunk_batches(closed)

    def remember_target(self, claim: Claim, columns: Mapping[str, str] | None) -> None:
        with self.memory.lock:
            self._fenced(claim, chunks=True).target_columns = None if columns is None else dict(columns)

    def virtual_xids(self, source: str) -> VirtualXids:
        return self.memory.listings.get(source, VirtualXids())

    def save_virtual_xids(self, source: str, listing: VirtualXids) -> None:
        self.memory.listings[source] = listing

    def _batches(self, claim: Claim) -> list[str]:
        row = self._fenced(claim, chunks=True)
        return row.open_batches if claim.chunk is None else row.chunks[claim.chunk.number].open_batches
