"""Claims: the right to sync a table or to load one chunk, and the refusal of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pgsnow.model.backfill import Chunk, ChunkId
from pgsnow.model.checkpoint import Checkpoint
from pgsnow.model.deferred_batch import StagedBatch
from pgsnow.model.errors import PgsnowError
from pgsnow.model.evolution.drift import SourceDefinition
from pgsnow.model.table import KnownTarget

FENCES_PER_CLAIM = 1_000_000
"""Fences directly below that of a claim, reserved for the chunks of a backfill that it begins."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to sync one table, until another run is granted a higher fence.

    fence grows with every claim of the table, also if the ledger is lost or restored (it is never below the
    server's clock in microseconds), so a row written under a higher fence is from a later run.
    """

    table: str
    run_id: str
    holder: str
    fence: int
    checkpoint: Checkpoint | None
    open_batches: tuple[str, ...] = ()
    """Batches of earlier runs whose staged files or tables may be left in Snowflake."""
    target_columns: Mapping[str, str] | None = None
    """The target's columns (name → type) as last seen; None: not cached, ask Snowflake."""
    target: KnownTarget = field(default_factory=KnownTarget)
    """The target as it was after the last load."""
    has_open_errors: bool = False
    stored_definition: SourceDefinition | None = None
    """The source's definition as stored with the checkpoint; None: none is stored."""
    chunk: ChunkId | None = None
    """Set for the right to one chunk of the backfill under way, which ends when another attempt at the
    chunk is granted or the backfill is not under way any more. Its fence is above the backfill's and
    below that of the run that ends the backfill. It permits writes of batches, rejected rows and the
    target's columns, and `checkpoints.forget`.
    """
    staged: tuple[StagedBatch, ...] = ()
    """Staged batches that are not loaded yet, in the order in which they were read; `checkpoint` is the end of
    that reading.
    """
    staged_at: float = 0.0
    """When the first of them was staged: seconds since 1970, by the ledger server's clock."""
    granted_at: float = 0.0
    """When this claim was granted, by the same clock."""
    unverified: str | None = None
    """Why the target may hold rows that the source has lost, until a verify has passed."""
    verification: Any = None
    """JSON of model.comparison.certificate.Verification."""
    checkpoint_fence: int | None = None
    """The fence of the run that stored `checkpoint`; None: not known."""
    ledger: str = ""
    """The ledger's id."""
    places: tuple[dict[str, Any], ...] = ()
    """The fields of each pgsnow.model.owner.Place that this row of the ledger was used for, the present one first."""
    idle_seconds: float | None = None
    """Seconds since the start of the last run that succeeded; None: there was none."""
    lasting_failures: int = 0
    """Failed runs in a row whose error was not likely to pass by itself."""
    failed_entry: str | None = None
    """Hash of the table's configuration with which the last of them failed."""
    sweep: Mapping[str, Any] | None = None
    """The fields of the SweepState; None: no sweep was recorded yet."""
    pending: Mapping[str, Any] | None = None
    """Since when a sweep is due, and why, if this run has noticed it: fields of the SweepState, stored with the
    checkpoint."""
    created_target: str | None = None
    """Name of the target, if pgsnow has created it."""
    reset_to: str | None = None
    """The watermark that a person has written in place of pgsnow's, '' for NULL; None: nobody has."""
    asked_by: str | None = None
    """Origin of the run: schedule, command, or `request N`."""
    has_requests: bool = False
    """There are requests that have not ended, of any table (see pgsnow.ledger.requests)."""
    unreadable: PgsnowError | None = None
    """Why the table's row cannot be read. Then its other fields are empty, and no run may rely on them."""


@dataclass(frozen=True, slots=True)
class ChunkClaim:
    """A chunk that was granted, and its backfill's layout, fence and `replaces`.

    A worker whose own plan gives another layout must not load the chunk.
    """

    claim: Claim
    chunk: Chunk
    layout: str
    fence: int
    replaces: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """A table that was not granted: `holder` has it (and since when), or it ran less than min_age seconds ago, a
    person has paused it, or it has failed several times in a row.
    """

    table: str
    reason: str
    """locked, not due, paused or backing off."""
    holder: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    """When the next attempt at a table that is backing off is due."""
    error: str | None = None
    """The error of that table's last run."""
    has_requests: bool = False
    """As in Claim."""
