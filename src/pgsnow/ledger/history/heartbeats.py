"""sync_heartbeats: when the heartbeat table of each target schema was last written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pgsnow.ledger.queries import Queries


@dataclass(frozen=True, slots=True)
class Heartbeats:
    """Which target schemas are due, told to one of several workers."""

    queries: Queries

    def take(self, loaded: Sequence[str], others: Sequence[str], every: float) -> list[str]:
        """The schemas that the caller must write now: all of `loaded`, and those of `others` that were last written at
        least `every` seconds ago (0: none). They count as written from now on, so that no other worker writes them."""
        rows = self.queries.execute(
            "take_heartbeats", loaded=[*loaded], others=[*others] if every > 0 else [], every=every
        )
        return sorted(row["target_schema"] for row in rows)
