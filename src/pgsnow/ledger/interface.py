"""The ledger's contract. `PostgresLedger` and `MemoryLedger` keep it; one conformance suite runs against both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Protocol

from pgsnow.model.backfill import Backfill, Chunk, ChunkCounts, ChunkId, Range
from pgsnow.model.batch import Rejected
from pgsnow.model.checkpoint import Checkpoint, VirtualXids
from pgsnow.model.deferred_batch import StagedBatch
from pgsnow.model.evolution.drift import SourceDefinition
from pgsnow.model.report import TableReport


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
    """The right to one chunk of the backfill under way alone, until another attempt at it is granted or the backfill is
    not under way any more. Its fence is above the backfill's and below that of the run that ends it. Batches, the
    quarantine, what is known of the target, and `forget` may be written under it."""
    staged: tuple[StagedBatch, ...] = ()
    """Batches that wait in the stage, in the order in which they were read; `checkpoint` is where that ended."""
    staged_at: float = 0.0
    """When the first of them was staged, and `granted_at` when this was granted: seconds since 1970, by one clock."""
    granted_at: float = 0.0


@dataclass(frozen=True, slots=True)
class ChunkClaim:
    """A chunk that was granted. layout: of its backfill; whoever has planned another one must not load it. fence and
    replaces: of its backfill."""

    claim: Claim
    chunk: Chunk
    layout: str
    fence: int
    replaces: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """A table that was not granted: `holder` has it (and since when), or it ran less than min_age seconds ago."""

    table: str
    reason: str
    """held, not due or paused."""
    holder: str | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class WatermarkRow:
    """One row of sync_watermarks, for people to read."""

    source_table: str
    target_table: str | None
    last_watermark: str | None
    last_run: datetime | None
    last_success: datetime | None
    last_status: str | None
    last_error: str | None
    rows_processed: int
    read_mode: str | None
    lease_holder: str | None
    open_errors: int = 0
    lag_seconds: float | None = None
    chunks: int | None = None
    """Of the backfill under way; None: there is none."""
    chunks_done: int | None = None
    chunk_rows: int | None = None
    """Of those that are done."""
    chunk_bytes: int | None = None
    backfill_seconds: float | None = None
    """Since it began."""
    staged_rows: int = 0
    """Read and staged, not loaded yet; `lag_seconds` counts until they are."""
    staged_bytes: int = 0
    read_lag_seconds: float | None = None
    """Now − the newest source commit known to be read: in Snowflake, or staged for it."""


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """One row of sync_errors."""

    id: int
    source_table: str
    key: dict[str, str | None]
    column: str | None
    reason: str
    payload: dict[str, Any] | None
    run_id: str
    state: str
    """open, replayed or dismissed."""
    occurrences: int
    created_at: datetime
    updated_at: datetime


class Leases(Protocol):
    """Who may sync a table."""

    def claim(
        self, tables: Sequence[str], *, run_id: str, holder: str, min_age: float | Mapping[str, float] = 0.0
    ) -> tuple[list[Claim], list[Refusal]]:
        """Claim those tables that nobody holds. One round trip or two, however many tables.

        A holder whose session is gone (killed, cut off) holds nothing. min_age: seconds since the start of the
        last run that succeeded, for all tables or by table (none: 0); younger ones are refused as 'not due' (a
        second beat, a repeated message, a table that asks for longer pauses).
        """

    def renew(self, claims: Iterable[Claim]) -> None:
        """Say that these runs are alive. Lost ones are left out silently; their next write raises."""

    def release(self, claims: Iterable[Claim]) -> None:
        """Give up. Never raises LeaseLost."""


class Checkpoints(Protocol):
    """How far a table is, and what of it is in Snowflake."""

    def checkpoints(self) -> dict[str, Checkpoint]:
        """How far each table is, without claiming it: for a preview. Tables without a checkpoint are left out."""

    def known_sources(self) -> dict[str, SourceDefinition]:
        """What is known of each table's source, without claiming it: for a preview."""

    def advance(self, claim: Claim, checkpoint: Checkpoint, source: SourceDefinition | None = None) -> None:
        """Move the checkpoint, after Snowflake committed, and remember the source's definition with it, in one
        statement (None: what is known stands). Never backward: with the same server identity and mode, a smaller x
        raises LeaseLost."""

    def advance_idle(
        self,
        moves: Sequence[tuple[Claim, Checkpoint]],
        sources: Mapping[str, SourceDefinition] = MappingProxyType({}),
    ) -> list[str]:
        """The same for many idle tables in one statement, `sources` by table; returns the tables whose lease was
        lost."""

    def remember_source(self, claim: Claim, source: SourceDefinition) -> None:
        """Remember the source's definition and its place in the target, where the checkpoint is not to move yet."""

    def forget(self, claim: Claim) -> None:
        """Drop the checkpoint, and the backfill under way: the next read is a full one, from its beginning. Batches
        that wait in the stage become open ones."""

    def open_batch(self, claim: Claim, batch: str) -> None:
        """Recorded before anything of this batch exists in Snowflake, so that a crash leaves no orphan unknown."""

    def close_batches(self, claim: Claim, batches: Iterable[str]) -> None:
        """Their staging is gone."""

    def remember_target(self, claim: Claim, columns: Mapping[str, str] | None) -> None:
        """Cache the target's columns; None forgets them."""

    def virtual_xids(self, source: str) -> VirtualXids:
        """The last saved listing of this source's virtual transactions (empty: none)."""

    def save_virtual_xids(self, source: str, listing: VirtualXids) -> None:
        """Save a listing."""


class Backfills(Protocol):
    """Full reads of large tables. A table has a checkpoint, or a backfill under way, or neither; never both: moving the
    checkpoint ends the backfill, in the same statement."""

    def backfill(self, claim: Claim) -> Backfill | None:
        """The backfill of the claimed table that is under way, its chunks in order."""

    def begin_backfill(
        self,
        claim: Claim,
        layout: str,
        checkpoint: Checkpoint,
        ranges: Sequence[Range],
        *,
        prunes: bool,
        reason: str,
        replaces: bool = False,
    ) -> Backfill:
        """A new one takes the place of the checkpoint and of any that is under way, before anything is read for it."""

    def claim_chunk(self, tables: Mapping[str, int], *, run_id: str, holder: str) -> ChunkClaim | None:
        """A chunk that is not done and that nobody alive has, of one of these tables' backfills; None: there is none.

        tables: how many chunks of each may be held at once at most, by all workers together. Early chunks come first,
        so that tables take turns. It needs no claim to the table; `renew` and `release` take its claim. A paused
        table's chunks wait.
        """

    def finish_chunk(self, claim: Claim, chunk: Chunk) -> ChunkCounts:
        """`chunk` with what is known of it, once all its rows are in Snowflake; how far the backfill is with it. The
        claim stands until it is released. Raises LeaseLost, also if the backfill is not under way any more."""

    def chunk_counts(self, table: str) -> ChunkCounts | None:
        """Of the backfill under way; None: there is none."""


class Deferrals(Protocol):
    """Rows that are read and staged now, and loaded later. While any wait, the ledger keeps two checkpoints: where the
    reading is, which `Claim.checkpoint` and `checkpoints` tell and `advance` moves, and where the loading is."""

    def stage(
        self,
        claim: Claim,
        batches: Sequence[StagedBatch],
        checkpoint: Checkpoint,
        source: SourceDefinition | None = None,
    ) -> None:
        """These batches (one at least) are in the stage and wait, and the reading is at `checkpoint`: in one statement.
        They are open ones no more. Idempotent. Raises as `advance`, and LeaseLost for a table without a checkpoint."""

    def staged_loaded(self, claim: Claim) -> None:
        """All batches that waited are in the target: the loading is where the reading is. They are open ones."""

    def unstage(self, claim: Claim) -> Checkpoint | None:
        """The batches that wait are given up: the reading goes back to where the loading is, which is returned. They
        are open ones."""


class ErrorStore(Protocol):
    """The quarantine: sync_errors."""

    def quarantine(self, claim: Claim, rejected: Sequence[Rejected]) -> None:
        """Put rows into sync_errors. A key that is open already is updated (occurrences + 1), not doubled."""

    def resolve_errors(self, claim: Claim, keys: Sequence[Mapping[str, str | None]]) -> int:
        """Mark open errors of these keys 'replayed': newer versions of the rows were loaded. Returns how many."""

    def open_error_keys(self, table: str) -> list[dict[str, str | None]]:
        """Keys with an open error."""

    def errors(
        self,
        *,
        table: str | None = None,
        state: str | None = "open",
        ids: Sequence[int] | None = None,
        limit: int = 1000,
    ) -> list[ErrorRow]:
        """Newest first."""

    def dismiss(self, ids: Sequence[int]) -> int:
        """Mark open errors 'dismissed'. Returns how many."""


class RunLog(Protocol):
    """What happened: sync_logs, and sync_watermarks as people read it."""

    def finish(self, runs: Sequence[tuple[Claim, TableReport]]) -> None:
        """Record ended runs: last_run, last_status, last_error, rows_processed, and a sync_logs row each. One that ends
        HELD, because others load the table, tells no outcome: status and error of the run before stand.
        A run that lost its lease gets its sync_logs row and nothing else."""

    def note(self, runs: Sequence[tuple[Claim, TableReport]]) -> None:
        """A sync_logs row each, and nothing else: for what was no run, such as `pgsnow apply`."""

    def watermarks(self) -> list[WatermarkRow]:
        """All tables, for `status`."""

    def logs(self, *, table: str | None = None, limit: int = 20) -> list[dict[str, Any]]:
        """The newest sync_logs rows, newest first."""

    def purge_logs(self, older_than_days: int) -> int:
        """Delete old sync_logs rows, at most once an hour. Returns how many."""


class Ledger(Leases, Checkpoints, Backfills, Deferrals, ErrorStore, RunLog, Protocol):
    """Every write that names a Claim is fenced: if a higher fence was granted, it raises LeaseLost and changes nothing.

    All methods may be called from any thread. Raises LedgerUnavailable, LedgerAccessDenied.
    """

    def migrate(self) -> None:
        """Create or upgrade the ledger's tables. Idempotent; safe when many processes start at once."""

    def close(self) -> None:
        """Release everything held."""
