"""Batches that wait in the stage, and the two checkpoints of a table while any do."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg.types.json import Jsonb

from pgsnow.ledger.interface import Claim
from pgsnow.ledger.queries import Statements, as_json
from pgsnow.ledger.rules import applied_until
from pgsnow.model.checkpoint import Checkpoint
from pgsnow.model.deferred_batch import StagedBatch
from pgsnow.model.evolution.drift import SourceDefinition


class Deferrals:
    """They are part of the table's row, so that each write is one statement under its fence."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    def stage(
        self,
        claim: Claim,
        batches: Sequence[StagedBatch],
        checkpoint: Checkpoint,
        source: SourceDefinition | None,
    ) -> None:
        """Raises LeaseLost, also for a step back."""
        self._statements.fenced(
            "stage",
            claim,
            batches=as_json(batch.to_json() for batch in batches),
            checkpoint=Jsonb(checkpoint.to_json()),
            applied_until=applied_until(checkpoint),
            source=None if source is None else Jsonb(source.to_json()),
        )

    def loaded(self, claim: Claim) -> None:
        """All of them."""
        self._statements.fenced("staged_loaded", claim)

    def unstage(self, claim: Claim) -> Checkpoint | None:
        """The checkpoint that stands then."""
        rows = self._statements.rows("unstage", table=claim.table, fence=claim.fence)
        if not rows:
            raise self._statements.lost(claim)
        stands = rows[0]["checkpoint"]
        return None if stands is None else Checkpoint.from_json(stands)
