"""One worker, in the ledger in memory: who it is, and which rows it may write."""

from __future__ import annotations

from datetime import timedelta

from pgsnow.ledger.memory_chunks import MemoryChunks
from pgsnow.ledger.memory_row import MemoryRow
from pgsnow.ledger.memory_shared import Memory
from pgsnow.ledger.store import Claim
from pgsnow.ledger.values import moves_backward
from pgsnow.model.checkpoint import Checkpoint
from pgsnow.model.errors import LeaseLost


class MemoryWorker:
    """What every part of a worker's ledger begins with."""

    def __init__(self, memory: Memory, lease_seconds: float) -> None:
        self.memory = memory
        self._lease = timedelta(seconds=lease_seconds)
        self._session = object()
        self._chunks = MemoryChunks(memory.rows)

    def _fenced(self, claim: Claim, *, chunks: bool = False) -> MemoryRow:
        """chunks: a claim to one will do."""
        row = self.memory.rows.get(claim.table)
        if row is not None and row.fence == claim.fence and claim.chunk is None:
            return row
        if row is not None and chunks and self._chunks.is_ours(claim):
            return row
        raise self._lost(claim)

    def _lost(self, claim: Claim) -> LeaseLost:
        what = "its lease" if claim.chunk is None else f"chunk {claim.chunk.number}"
        return LeaseLost(f"{claim.table}: run {claim.run_id} lost {what}")

    def _forward(self, claim: Claim, checkpoint: Checkpoint) -> MemoryRow:
        """The row, if its checkpoint may move there."""
        row = self._fenced(claim)
        if moves_backward(row.checkpoint, checkpoint):
            raise LeaseLost(
                f"{claim.table}: a later read than that of run {claim.run_id} is recorded already"
            )
        return row

    def _claim(self, table: str, row: MemoryRow, run_id: str, holder: str) -> Claim:
        columns = None if row.target_columns is None else dict(row.target_columns)
        return Claim(
            table=table,
            run_id=run_id,
            holder=holder,
            fence=row.fence,
            checkpoint=row.checkpoint,
            open_batches=tuple(row.open_batches),
            target_columns=columns,
            has_open_errors=bool(self.memory.open_errors(table)),
            known=row.known,
            staged=tuple(row.staged),
            staged_at=row.staged_since.timestamp() if row.staged_since else 0.0,
            granted_at=self.memory.clock().timestamp(),
        )
