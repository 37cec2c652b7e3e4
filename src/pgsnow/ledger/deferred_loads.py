"""Staged batches, which are loaded later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg.types.json import Jsonb

from pgsnow.ledger.checkpoints import applied_until
from pgsnow.ledger.claim import Claim
from pgsnow.ledger.queries import Queries
from pgsnow.model.checkpoint import Checkpoint
from pgsnow.model.deferred_batch import StagedBatch
from pgsnow.model.evolution.drift import SourceDefinition


@dataclass(frozen=True, slots=True)
class DeferredLoads:
    """Rows that are read and staged now, and loaded later.

    While any batch is staged, the ledger keeps two checkpoints of the table: how far it is read
    (`Claim.checkpoint`, `checkpoints.remembered`, moved by `checkpoints.advance`), and how far it is loaded. Both
    are in the table's row of sync_watermarks, so that each write is one fenced statement.
    """

    queries: Queries

    def stage(
        self,
        claim: Claim,
        batches: Sequence[StagedBatch],
        checkpoint: Checkpoint,
        source: SourceDefinition | None = None,
        rows: int | None = None,
    ) -> None:
        """Record that these batches (at least one) are staged and that the table was read up to
        `checkpoint`, in one statement. They are no longer open batches. Idempotent. rows: of the target (None: not
        known). Raises LeaseLost, also for an earlier checkpoint than the stored one and for a table without a
        checkpoint.
        """
        self.queries.fenced(
            "stage",
            claim,
            batches=Jsonb([batch.to_json() for batch in batches]),
            checkpoint=Jsonb(checkpoint.to_json() | {"fence": claim.fence}),
            applied_until=applied_until(checkpoint),
            source=None if source is None else Jsonb(source.to_json()),
            rows=rows,
        )

    def loaded(self, claim: Claim, rows: int | None = None) -> None:
        """Record that all staged batches are in the target, which has so many rows now (None: not known): everything
        that was read is loaded. They become open batches.
        """
        self.queries.fenced("staged_loaded", claim, rows=rows)

    def uploaded(self, claim: Claim, batches: Sequence[StagedBatch]) -> None:
        """Record that the files of these batches, which were kept in `log_spool_dir`, are in the stage."""
        self.queries.fenced("kept_uploaded", claim, batches=[batch.batch for batch in batches])

    def discard(self, claim: Claim) -> Checkpoint | None:
        """Discard the staged batches: the checkpoint goes back to that of what was loaded, which is returned.
        They become open batches.
        """
        [row] = self.queries.fenced("discard_staged", claim)
        return None if row["checkpoint"] is None else Checkpoint.from_json(row["checkpoint"])
