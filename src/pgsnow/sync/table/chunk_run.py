"""What one attempt at one chunk works with."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from pgsnow.ledger.claim import Claim
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.plan import TablePlan
from pgsnow.postgres.connection import Source
from pgsnow.sync.load.destination import Destination
from pgsnow.sync.pipeline.rejected_rows import RejectedRows
from pgsnow.sync.runtime.recorder import Recorder


@dataclass(frozen=True, slots=True)
class ChunkRun:
    """claim: to this chunk, with a fence of its own. progress: a tally of its own."""

    plan: TablePlan
    claim: Claim
    source: Source
    ledger: Ledger
    quarantine: RejectedRows
    destination: Destination
    progress: Recorder
    stop: threading.Event
