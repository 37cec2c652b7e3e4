"""The ledger's entry of one claimed table, as it is now: all writes of a run to it go through here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pgsnow.ledger.claim import Claim
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.backfill import Backfill, Range
from pgsnow.model.checkpoint import Checkpoint
from pgsnow.model.deferred_batch import StagedBatch
from pgsnow.model.evolution.drift import SourceDefinition


@dataclass(slots=True)
class ClaimedTable:
    """Keeps `claim` equal to what the ledger has: another attempt at the run goes on from it. Every method raises
    LeaseLost once another run has claimed the table."""

    ledger: Ledger
    claim: Claim

    def advance(self, checkpoint: Checkpoint, source: SourceDefinition | None = None) -> None:
        """Move the checkpoint to where Snowflake has everything, and remember the source's definition (None: what is
        known stands). A checkpoint that lies before the present one is a server that was restored to an older state:
        everything has been read then, and the ledger starts over."""
        before = self.claim.checkpoint
        if before is not None and before.identity == checkpoint.identity and checkpoint.x < before.x:
            self.ledger.checkpoints.forget(self.claim)
        self.ledger.checkpoints.advance(self.claim, checkpoint, source)
        self.claim = replace(
            self.claim, checkpoint=checkpoint, stored_definition=source or self.claim.stored_definition
        )

    def forget(self) -> None:
        """Drop the checkpoint, and the backfill under way. Batches that waited in the stage become open ones."""
        self.ledger.checkpoints.forget(self.claim)
        self.claim = replace(self.claim, checkpoint=None, staged=())

    def remember_target(self, columns: Mapping[str, str] | None) -> None:
        """Cache the target's columns, name → type; None: they are to be looked up again."""
        self.ledger.checkpoints.remember_target(self.claim, columns)
        self.claim = replace(self.claim, target_columns=columns)

    def remember_source(self, source: SourceDefinition) -> None:
        """Remember the source's definition where the checkpoint is not to move yet."""
        self.ledger.checkpoints.remember_source(self.claim, source)
        self.claim = replace(self.claim, stored_definition=source)

    def begin_backfill(
        self,
        layout: str,
        checkpoint: Checkpoint,
        ranges: Sequence[Range],
        *,
        prunes: bool,
        reason: str,
        replaces: bool,
    ) -> Backfill:
        """A new backfill takes the place of the checkpoint and of any backfill under way."""
        work = self.ledger.backfills.begin(
            self.claim, layout, checkpoint, ranges, prunes=prunes, reason=reason, replaces=replaces
        )
        self.claim = replace(self.claim, checkpoint=None)
        return work

    def stage(
        self, batches: Sequence[StagedBatch], checkpoint: Checkpoint, source: SourceDefinition | None
    ) -> None:
        """These batches wait in the stage, and the reading is at `checkpoint`."""
        self.ledger.deferred_loads.stage(self.claim, batches, checkpoint, source)
        staged = (*self.claim.staged, *batches)
        self.claim = replace(
            self.claim,
            checkpoint=checkpoint,
            staged=staged,
            stored_definition=source or self.claim.stored_definition,
        )

    def staged_loaded(self) -> None:
        """Every batch that waited is in the target: the loading is where the reading is."""
        self.ledger.deferred_loads.loaded(self.claim)
        self.claim = replace(self.claim, staged=())

    def discard_staged(self) -> None:
        """Give up the batches that wait: the reading goes back to where the loading is."""
        checkpoint = self.ledger.deferred_loads.discard(self.claim)
        self.claim = replace(self.claim, checkpoint=checkpoint, staged=())
