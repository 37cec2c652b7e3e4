"""All that one run of one table works with."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from pgsnow.ledger.claim import Claim
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.backfill import Backfill
from pgsnow.model.checkpoint import Checkpoint, Horizon, ReadMode
from pgsnow.model.evolution.drift import Drift
from pgsnow.model.plan import TablePlan
from pgsnow.postgres.connection import Source
from pgsnow.postgres.incremental.probe import Probe
from pgsnow.sync.load.deferred import Staged
from pgsnow.sync.load.destination import Destination
from pgsnow.sync.pipeline.rejected_rows import RejectedRows
from pgsnow.sync.runtime.options import RunOptions
from pgsnow.sync.runtime.recorder import Recorder
from pgsnow.sync.table.chunk_loader import ChunkLoader


@dataclass(frozen=True, slots=True)
class RunContext:
    """because: why everything must be read, whatever the checkpoint tells."""

    plan: TablePlan
    claim: Claim
    checkpoint: Checkpoint | None
    horizon: Horizon
    source: Source
    ledger: Ledger
    quarantine: RejectedRows
    destination: Destination
    progress: Recorder
    stop: threading.Event
    wishes: RunOptions
    drift: Drift
    probe: Probe | None
    """What the look at the table found, before this run."""
    staged: Staged
    """What waits in the stage for the table."""
    chunk_worker: Callable[[], ChunkLoader]
    loads: bool = False
    """What waits is due, or a person asked for it to be loaded."""
    because: str | None = None
    backfill: Backfill | None = None
    """All of its chunks are in the target, and `checkpoint` is where it leaves off."""
    resync: bool = False
    """Everything that is read takes the place of what the target has, at once."""

    @property
    def refresh(self) -> bool:
        """True if a person asked for everything to be read, and the rest deleted."""
        return self.wishes.refresh

    @property
    def everything(self) -> bool:
        """True if a person asked for everything, and it has not been read yet."""
        return self.refresh and self.backfill is None

    @property
    def whole_leaves(self) -> tuple[int, ...]:
        """Oids of tables below the source's of which every row is still to be read."""
        return () if self.backfill else self.drift.whole_leaves

    @property
    def replaces(self) -> bool:
        """Is what a full read finds to take the place of all that the target holds (or, with mode append, to be added
        as a whole)?"""
        before = self.checkpoint.mode if self.checkpoint else None
        return self.plan.whole or self.replace or self.resync or before in (ReadMode.FULL, ReadMode.APPEND)

    @property
    def replace(self) -> bool:
        """True if everything is read, and takes the place of the target's content at once."""
        return self.drift.replace

    @property
    def reshaped(self) -> bool:
        """May the target have been filled by another key than the plan's?"""
        return self.replace or (self.checkpoint is not None and self.checkpoint.shape != self.plan.shape)

    @property
    def prunes(self) -> bool:
        """True if rows that a full read does not find are to go."""
        if self.backfill is not None and self.backfill.prunes:
            return True
        return self.refresh or (self.drift.prune and not self.plan.whole)
