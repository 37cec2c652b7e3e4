"""State of the sweeps that find deleted rows, in sync_watermarks."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from psycopg.types.json import Jsonb

from pgsnow.ledger.claim import Claim
from pgsnow.ledger.queries import Queries, cut
from pgsnow.model.comparison.sweep import SweepState


@dataclass(frozen=True, slots=True)
class Sweeps:
    """When each table was last swept, and what the next one is compared with."""

    queries: Queries

    def done(self, claim: Claim, state: SweepState, rows: int | None) -> None:
        """Store the state after a complete sweep. rows: of the target; None: not known. Idempotent. Raises
        LeaseLost."""
        self.queries.fenced("sweep_done", claim, sweep=Jsonb(asdict(state)), rows=rows)

    def tried(self, claim: Claim, seconds: float, why: str) -> None:
        """Record a sweep that was begun and is not complete: how long it took, and why it is not. Raises LeaseLost."""
        self.queries.fenced("sweep_tried", claim, at=claim.granted_at, seconds=seconds, why=cut(why))

    def created(self, claim: Claim, target: str) -> None:
        """Record that pgsnow has created this target. Raises LeaseLost."""
        self.queries.fenced("target_created", claim, target=target)

    def due_again(self, claim: Claim) -> None:
        """Record that a statement whose outcome is not known may commit late: the next run sweeps the table, and once
        more when such a statement has certainly ended. Raises LeaseLost."""
        self.queries.fenced("sweep_due_again", claim)
