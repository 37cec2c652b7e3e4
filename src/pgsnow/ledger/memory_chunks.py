"""Claims of chunks, in the ledger in memory. Its caller has the lock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from pgsnow.ledger.memory_chunk import MemoryChunk
from pgsnow.ledger.memory_row import MemoryRow
from pgsnow.ledger.store import Claim
from pgsnow.model.backfill import Backfill, Chunk


@dataclass(frozen=True, slots=True)
class Found:
    """A chunk that may be granted."""

    table: str
    backfill: Backfill
    chunk: Chunk


class MemoryChunks:
    """The chunks of all tables' backfills."""

    def __init__(self, rows: dict[str, MemoryRow]) -> None:
        self._rows = rows

    def free(self, tables: Mapping[str, int], now: datetime) -> Found | None:
        """The earliest one."""
        found = [
            Found(table, row.backfill, chunk)
            for table, row in self._rows.items()
            if row.backfill is not None and not row.paused
            if table in tables and len(held := self.held(row, now)) < tables[table]
            for chunk in row.backfill.left
            if chunk.number not in held
        ]
        return min(found, key=lambda one: (one.chunk.number, one.backfill.id), default=None)

    def held(self, row: MemoryRow, now: datetime) -> set[int]:
        """Numbers of those that are not done and that somebody alive has."""
        if row.backfill is None:
            return set()
        left = {chunk.number for chunk in row.backfill.left}
        return {number for number, chunk in row.chunks.items() if number in left and chunk.held(now)}

    def grant(self, found: Found, session: object, expires: datetime) -> tuple[int, ...]:
        """The fences of its attempts, the last of which is new."""
        row = self._rows[found.table]
        row.last_chunk_fence += 1
        lease = row.chunks.setdefault(found.chunk.number, MemoryChunk())
        lease.session, lease.expires = session, expires
        fences = (*found.chunk.fences, row.last_chunk_fence)
        self._change(row, replace(found.chunk, attempts=len(fences), fences=fences))
        return fences

    def is_ours(self, claim: Claim) -> bool:
        row = self._rows.get(claim.table)
        if row is None or row.backfill is None or claim.chunk is None:
            return False
        chunks = row.backfill.chunks
        return (
            row.backfill.id == claim.chunk.backfill
            and chunks[claim.chunk.number].fences[-1:] == (claim.fence,)
        )  # fmt: skip

    def renew(self, claim: Claim, session: object, expires: datetime) -> None:
        if self.is_ours(claim) and claim.chunk is not None:
            lease = self._rows[claim.table].chunks[claim.chunk.number]
            if lease.expires is not None:
                lease.session, lease.expires = session, expires

    def release(self, claim: Claim) -> None:
        if self.is_ours(claim) and claim.chunk is not None:
            self._rows[claim.table].chunks[claim.chunk.number].free()

    def finish(self, claim: Claim, chunk: Chunk) -> None:
        row = self._rows[claim.table]
        assert row.backfill is not None
        known = row.backfill.chunks[chunk.number]
        self._change(
            row, replace(chunk, attempts=known.attempts, fences=known.fences, open_batches=(), done=True)
        )

    def _change(self, row: MemoryRow, chunk: Chunk) -> None:
        assert row.backfill is not None
        chunks = (chunk if known.number == chunk.number else known for known in row.backfill.chunks)
        row.backfill = replace(row.backfill, chunks=tuple(chunks))
