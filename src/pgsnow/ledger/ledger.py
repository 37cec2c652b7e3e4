"""The ledger in Postgres."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from psycopg.types.json import Jsonb

from pgsnow.ledger import migrate
from pgsnow.ledger.backfills import Backfills
from pgsnow.ledger.checkpoints import Checkpoints
from pgsnow.ledger.chunk_leases import ChunkLeases
from pgsnow.ledger.deferred_loads import Deferrals
from pgsnow.ledger.interface import ChunkClaim, Claim, ErrorRow, Refusal, WatermarkRow
from pgsnow.ledger.leases import Leases
from pgsnow.ledger.quarantine import RejectedRowStore
from pgsnow.ledger.queries import Statements
from pgsnow.ledger.run_log import Runs
from pgsnow.ledger.session import HasConninfo
from pgsnow.model.backfill import Backfill, Chunk, ChunkCounts, Range
from pgsnow.model.batch import Rejected
from pgsnow.model.checkpoint import Checkpoint, VirtualXids
from pgsnow.model.deferred_batch import StagedBatch
from pgsnow.model.evolution.drift import SourceDefinition
from pgsnow.model.report import TableReport

LEASE_SECONDS = 600.0
"""How long a lease lasts that nobody renews, if its holder is neither released nor seen to be dead."""


class PostgresLedger:
    """Keeps the promises of `Ledger` (see there) in the tables of one schema.

    It connects at first use, once a process (a forked child opens its own), and again when the connection breaks.
    The connection must be a session of its own: direct, or through a pooler in session mode. Nothing is sent
    outside of a call. Times are the ledger server's clock, except those of TableReport.
    """

    def __init__(
        self, settings: HasConninfo, schema: str = "public", *, lease_seconds: float = LEASE_SECONDS
    ) -> None:
        self._settings = settings
        self._schema = schema
        self._statements = Statements(settings, schema)
        self._leases = Leases(self._statements, lease_seconds)
        self._chunks = ChunkLeases(self._statements, lease_seconds)
        self._checkpoints = Checkpoints(self._statements)
        self._backfills = Backfills(self._statements)
        self._deferrals = Deferrals(self._statements)
        self._quarantine = RejectedRowStore(self._statements)
        self._runs = Runs(self._statements)

    def __repr__(self) -> str:
        return f"PostgresLedger(schema={self._schema!r})"

    def migrate(self) -> None:
        migrate.migrate(self._settings, self._schema)

    def claim(
        self, tables: Sequence[str], *, run_id: str, holder: str, min_age: float | Mapping[str, float] = 0.0
    ) -> tuple[list[Claim], list[Refusal]]:
        return self._leases.claim(tables, run_id=run_id, holder=holder, min_age=min_age)

    def renew(self, claims: Iterable[Claim]) -> None:
        ours = list(claims)
        self._leases.renew(claim for claim in ours if claim.chunk is None)
        self._chunks.renew(claim for claim in ours if claim.chunk is not None)

    def release(self, claims: Iterable[Claim]) -> None:
        ours = list(claims)
        self._leases.release(claim for claim in ours if claim.chunk is None)
        self._chunks.release(claim for claim in ours if claim.chunk is not None)

    def open_batch(self, claim: Claim, batch: str) -> None:
        self._checkpoints.open_batch(claim, batch)

    def close_batches(self, claim: Claim, batches: Iterable[str]) -> None:
        self._checkpoints.close_batches(claim, batches)

    def remember_target(self, claim: Claim, columns: Mapping[str, str] | None) -> None:
        self._checkpoints.remember_target(claim, columns)

    def remember_source(self, claim: Claim, source: SourceDefinition) -> None:
        self._checkpoints.remember_source(claim, source)

    def advance(self, claim: Claim, checkpoint: Checkpoint, source: SourceDefinition | None = None) -> None:
        self._checkpoints.advance(claim, checkpoint, source)

    def advance_idle(
        self,
        moves: Sequence[tuple[Claim, Checkpoint]],
        sources: Mapping[str, SourceDefinition] = MappingProxyType({}),
    ) -> list[str]:
        return self._checkpoints.advance_all(moves, sources)

    def forget(self, claim: Claim) -> None:
        self._checkpoints.forget(claim)

    def backfill(self, claim: Claim) -> Backfill | None:
        return self._backfills.under_way(claim)

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
        return self._backfills.begin(
            claim, layout, checkpoint, ranges, prunes=prunes, reason=reason, replaces=replaces
        )

    def claim_chunk(self, tables: Mapping[str, int], *, run_id: str, holder: str) -> ChunkClaim | None:
        return self._chunks.claim(tables, run_id=run_id, holder=holder)

    def finish_chunk(self, claim: Claim, chunk: Chunk) -> ChunkCounts:
        return self._backfills.finish_chunk(claim, chunk)

    def chunk_counts(self, table: str) -> ChunkCounts | None:
        return self._backfills.counts(table)

    def stage(
        self,
        claim: Claim,
        batches: Sequence[StagedBatch],
        checkpoint: Checkpoint,
        source: SourceDefinition | None = None,
    ) -> None:
        self._deferrals.stage(claim, batches, checkpoint, source)

    def staged_loaded(self, claim: Claim) -> None:
        self._deferrals.loaded(claim)

    def unstage(self, claim: Claim) -> Checkpoint | None:
        return self._deferrals.unstage(claim)

    def finish(self, runs: Sequence[tuple[Claim, TableReport]]) -> None:
        self._runs.finish(runs)

    def note(self, runs: Sequence[tuple[Claim, TableReport]]) -> None:
        self._runs.note(runs)

    def quarantine(self, claim: Claim, rejected: Sequence[Rejected]) -> None:
        self._quarantine.add(claim, rejected)

    def resolve_errors(self, claim: Claim, keys: Sequence[Mapping[str, str | None]]) -> int:
        return self._quarantine.resolve(claim, keys)

    def open_error_keys(self, table: str) -> list[dict[str, str | None]]:
        return self._quarantine.open_keys(table)

    def errors(
        self,
        *,
        table: str | None = None,
        state: str | None = "open",
        ids: Sequence[int] | None = None,
        limit: int = 1000,
    ) -> list[ErrorRow]:
        return self._quarantine.listed(table=table, state=state, ids=ids, limit=limit)

    def dismiss(self, ids: Sequence[int]) -> int:
        return self._quarantine.dismiss(ids)

    def watermarks(self) -> list[WatermarkRow]:
        return self._runs.watermarks()

    def checkpoints(self) -> dict[str, Checkpoint]:
        return self._checkpoints.known()

    def known_sources(self) -> dict[str, SourceDefinition]:
        return self._checkpoints.known_sources()

    def logs(self, *, table: str | None = None, limit: int = 20) -> list[dict[str, Any]]:
        return self._runs.logs(table=table, limit=limit)

    def virtual_xids(self, source: str) -> VirtualXids:
        rows = self._statements.rows("virtual_xids", source=source)
        return VirtualXids(**rows[0]) if rows else VirtualXids()

    def save_virtual_xids(self, source: str, listing: VirtualXids) -> None:
        begun = Jsonb(dict(listing.begun))
        self._statements.count("save_virtual_xids", source=source, taken_at=listing.taken_at, begun=begun)

    def purge_logs(self, older_than_days: int) -> int:
        return self._runs.purge(older_than_days)

    def close(self) -> None:
        self._chunks.release_all()
        self._leases.release_all()
        self._statements.session.close()
