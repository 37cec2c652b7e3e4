"""The right to sync a table or to load one chunk, and the refusal of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pgsnow.model.backfill import Chunk, ChunkId
from pgsnow.model.checkpoint import Checkpoint
from pgsnow.model.deferred_batch import StagedBatch
from pgsnow.model.evolution.drift import SourceDefinition


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to sync one table, until another run is granted a higher fence.

    fence grows with every claim of the table for ever, also over a lost or restored ledger (it is never below
    the server's clock in microseconds), so a row written under a higher fence is from a later run.
    """

    table: str
    run_id: str
    holder: str
    fence: int
    checkpoint: Checkpoint | None
    open_batches: tuple[str, ...] = ()
    """Batches of earlier runs whose staging may be left in Snowflake."""
    target_columns: Mapping[str, str] | None = None
    """The target's columns (name → type) as last seen, or None: look again."""
    has_open_errors: bool = False
    known: SourceDefinition | None = None
    """The source's definition as remembered with the checkpoint, or None: nothing is known yet."""
    chunk: ChunkId | None = None
    """The right to one chunk of the backfill under way alone, until another attempt at it is granted or
    the backfill is not under way any more. Its fence is above the backfill's and below that of the run
    that ends it. Batches, the quarantine, what is known of the target, and `forget` may be written under
    it.
    """
    staged: tuple[StagedBatch, ...] = ()
    """Batches that wait in the stage, in the order in which they were read; `checkpoint` is where that
    ended.
    """
    staged_at: float = 0.0
    """When the first of them was staged, and `granted_at` when this was granted: seconds since 1970, by
    one clock.
    """
    granted_at: float = 0.0


@dataclass(frozen=True, slots=True)
class ChunkClaim:
    """A chunk that was granted. layout: of its backfill; whoever has planned another one must not load it.
    fence and replaces: of its backfill.
    """

    claim: Claim
    chunk: Chunk
    layout: str
    fence: int
    replaces: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """A table that was not granted: `holder` has it (and since when), or it ran less than min_age seconds
    ago.
    """

    table: str
    reason: str
    """held, not due or paused."""
    holder: str | None = None
    since: datetime | None = None
