"""What waits to be loaded, in the ledger in memory."""

from __future__ import annotations

from collections.abc import Sequence

from pgsnow.ledger.memory_worker import MemoryWorker
from pgsnow.ledger.store import Claim
from pgsnow.model.checkpoint import Checkpoint
from pgsnow.model.deferred_batch import StagedBatch
from pgsnow.model.errors import LeaseLost
from pgsnow.model.evolution.drift import KnownSource


class MemoryDeferrals(MemoryWorker):
    """Staged now, loaded later."""

    def stage(
        self,
        claim: Claim,
        batches: Sequence[StagedBatch],
        checkpoint: Checkpoint,
        source: KnownSource | None = None,
    ) -> None:
        with self.memory.lock:
            row = self._forward(claim, checkpoint)
            if row.checkpoint is None:
                raise LeaseLost(f"{claim.table}: there is no checkpoint for run {claim.run_id} to go on from")
            row.stage(batches, self.memory.clock())
            row.checkpoint, row.known = checkpoint, source or row.known

    def staged_loaded(self, claim: Claim) -> None:
        with self.memory.lock:
            self._fenced(claim).unstage()

    def unstage(self, claim: Claim) -> Checkpoint | None:
        with self.memory.lock:
            row = self._fenced(claim)
            if row.checkpoint is not None:
                row.checkpoint = row.loaded
            row.unstage()
            return row.checkpoint
