"""sync_ticks: when each worker process last began a tick."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pgsnow.ledger.queries import Queries


@dataclass(frozen=True, slots=True)
class TickRow:
    """The newest tick of one worker process."""

    holder: str
    """`host:pid`."""
    at: datetime
    """When the tick began, by the ledger's clock."""
    interval_seconds: float
    """Seconds between two ticks in its configuration."""
    version: str
    """Its version of pgsnow."""
    asked_by: str
    """schedule: a tick over all tables that are due; command: a person's command; request: an action of a person that
    a worker carried out."""
    age_seconds: float
    """Seconds since then, by the ledger's clock."""


@dataclass(frozen=True, slots=True)
class Ticks:
    """The claim of a tick's tables notes the tick in the same statement (see `Leases.claim`)."""

    queries: Queries

    def seen(self) -> list[TickRow]:
        """The newest tick of each worker process of the last week, newest first."""
        return [TickRow(**row) for row in self.queries.execute("ticks")]
