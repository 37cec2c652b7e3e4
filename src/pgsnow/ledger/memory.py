"""The ledger in memory: for tests of what stands above it, and for trying things out. It keeps every promise of
`Ledger` (the same conformance suite runs against it) but that of outliving the process."""

from __future__ import annotations

from pgsnow.ledger.memory_backfills import MemoryBackfills
from pgsnow.ledger.memory_checkpoints import MemoryCheckpoints
from pgsnow.ledger.memory_deferrals import MemoryDeferrals
from pgsnow.ledger.memory_errors import MemoryErrors
from pgsnow.ledger.memory_leases import MemoryLeases
from pgsnow.ledger.memory_runs import MemoryRuns
from pgsnow.ledger.memory_shared import Memory
from pgsnow.ledger.postgres import LEASE_SECONDS


class MemoryLedger(
    MemoryLeases, MemoryCheckpoints, MemoryBackfills, MemoryDeferrals, MemoryErrors, MemoryRuns
):
    """One worker's ledger. MemoryLedger(memory=other.memory) is another worker beside it."""

    def __init__(self, *, memory: Memory | None = None, lease_seconds: float = LEASE_SECONDS) -> None:
        super().__init__(memory or Memory(), lease_seconds)

    def migrate(self) -> None:
        """Nothing to do."""
