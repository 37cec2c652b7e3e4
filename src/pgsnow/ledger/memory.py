"""The ledger in memory: for tests of what stands above it, and for trying things out. It keeps every promise of
`Ledger` (the same conformance suite runs against it) but that of outliving the process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from types import MappingProxyType
from typing import Any

from pgsnow.ledger.memory_chunks import MemoryChunks
from pgsnow.ledger.memory_row import MemoryRow
from pgsnow.ledger.postgres import LEASE_SECONDS
from pgsnow.ledger.quarantine import merged
from pgsnow.ledger.runs import PURGE_EVERY
from pgsnow.ledger.store import ChunkClaim, Claim, ErrorRow, Refusal, WatermarkRow
from pgsnow.ledger.values import FENCES_OF_A_CLAIM, key_digest, log_row, moves_backward
from pgsnow.model.backfill import Backfill, Blocks, Chunk, ChunkCounts, ChunkId
from pgsnow.model.batch import Rejected
from pgsnow.model.checkpoint import Checkpoint, VirtualXids
from pgsnow.model.drift import KnownSource
from pgsnow.model.errors import LeaseLost
from pgsnow.model.report import TableReport


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Memory:
    """What several MemoryLedgers share, as several PostgresLedgers share a schema."""

    clock: Callable[[], datetime] = _utc_now
    lock: threading.RLock = field(default_factory=threading.RLock)
    rows: dict[str, MemoryRow] = field(default_factory=dict)
    errors: dict[int, ErrorRow] = field(default_factory=dict)
    logs: list[dict[str, Any]] = field(default_factory=list)
    listings: dict[str, VirtualXids] = field(default_factory=dict)
    ids: count[int] = field(default_factory=lambda: count(1))


class MemoryLedger:
    """One worker's ledger. MemoryLedger(memory=other.memory) is another worker beside it."""

    def __init__(self, *, memory: Memory | None = None, lease_seconds: float = LEASE_SECONDS) -> None:
        self.memory = memory or Memory()
        self._lease = timedelta(seconds=lease_seconds)
        self._session = object()
        self._chunks = MemoryChunks(self.memory.rows)
        self._purged_at: float | None = None

    def migrate(self) -> None:
        """Nothing to do."""

    def claim(
        self, tables: Sequence[str], *, run_id: str, holder: str, min_age: float | Mapping[str, float] = 0.0
    ) -> tuple[list[Claim], list[Refusal]]:
        claims: list[Claim] = []
        refusals: list[Refusal] = []
        with self.memory.lock:
            now = self.memory.clock()
            for table in dict.fromkeys(tables):
                row = self.memory.rows.setdefault(table, MemoryRow())
                age = min_age.get(table, 0.0) if isinstance(min_age, Mapping) else min_age
                reason = row.barred(now, age)
                if reason is not None:
                    refusals.append(Refusal(table, reason))
                elif row.held(now):
                    refusals.append(Refusal(table, "held", row.holder, row.since))
                else:
                    row.grant(self._session, run_id, holder, now, now + self._lease)
                    claims.append(self._claim(table, row, run_id, holder))
        return claims, refusals

    def renew(self, claims: Iterable[Claim]) -> None:
        with self.memory.lock:
            for claim in claims:
                row = self.memory.rows.get(claim.table)
                if claim.chunk is not None:
                    self._chunks.renew(claim, self._session, self.memory.clock() + self._lease)
                elif row is not None and row.fence == claim.fence and row.run_id == claim.run_id:
                    row.session, row.expires = self._session, self.memory.clock() + self._lease

    def release(self, claims: Iterable[Claim]) -> None:
        with self.memory.lock:
            for claim in claims:
                row = self.memory.rows.get(claim.table)
                if claim.chunk is not None:
                    self._chunks.release(claim)
                elif row is not None and row.fence == claim.fence:
                    row.free()

    def lose_session(self) -> None:
        """As if the worker were killed, or its connection cut: others may take over what it holds."""
        with self.memory.lock:
            for row in self.memory.rows.values():
                if row.session is self._session:
                    row.session = None
                for chunk in row.chunks.values():
                    chunk.lose(self._session)
            self._session = object()

    def open_batch(self, claim: Claim, batch: str) -> None:
        with self.memory.lock:
            batches = self._batches(claim)
            if batch not in batches:
                batches.append(batch)

    def close_batches(self, claim: Claim, batches: Iterable[str]) -> None:
        closed = frozenset(batches)
        with self.memory.lock:
            known = self._batches(claim)
            known[:] = [batch for batch in known if batch not in closed]
            if claim.chunk is None:
                self.memory.rows[claim.table].close_chunk_batches(closed)

    def remember_target(self, claim: Claim, columns: Mapping[str, str] | None) -> None:
        with self.memory.lock:
            self._fenced(claim, chunks=True).target_columns = None if columns is None else dict(columns)

    def remember_source(self, claim: Claim, source: KnownSource) -> None:
        with self.memory.lock:
            self._fenced(claim).known = source

    def advance(self, claim: Claim, checkpoint: Checkpoint, source: KnownSource | None = None) -> None:
        with self.memory.lock:
            row = self._fenced(claim)
            if moves_backward(row.checkpoint, checkpoint):
                raise LeaseLost(
                    f"{claim.table}: a later read than that of run {claim.run_id} is recorded already"
                )
            row.end_backfill()
            row.checkpoint = checkpoint
            row.known = source or row.known

    def advance_idle(
        self,
        moves: Sequence[tuple[Claim, Checkpoint]],
        sources: Mapping[str, KnownSource] = MappingProxyType({}),
    ) -> list[str]:
        lost = []
        for claim, checkpoint in moves:
            try:
                self.advance(claim, checkpoint, sources.get(claim.table))
            except LeaseLost:
                lost.append(claim.table)
        return lost

    def forget(self, claim: Claim) -> None:
        with self.memory.lock:
            row = self._fenced(claim, chunks=True)
            row.end_backfill()
            row.checkpoint = None

    def backfill(self, claim: Claim) -> Backfill | None:
        with self.memory.lock:
            return self.memory.rows[claim.table].backfill_now()

    def begin_backfill(
        self,
        claim: Claim,
        layout: str,
        checkpoint: Checkpoint,
        blocks: Sequence[Blocks],
        *,
        prunes: bool,
        reason: str,
        replaces: bool = False,
    ) -> Backfill:
        with self.memory.lock:
            row, number = self._fenced(claim), next(self.memory.ids)
            chunks = tuple(Chunk(at, of) for at, of in enumerate(blocks))
            row.end_backfill()
            fence = row.last_chunk_fence = max(claim.fence - FENCES_OF_A_CLAIM, row.last_chunk_fence + 1)
            row.backfill = Backfill(number, fence, layout, checkpoint, prunes, reason, chunks, replaces)
            row.checkpoint, row.filled_since = None, self.memory.clock()
            return row.backfill

    def claim_chunk(self, tables: Mapping[str, int], *, run_id: str, holder: str) -> ChunkClaim | None:
        with self.memory.lock:
            now = self.memory.clock()
            found = self._chunks.free(tables, now)
            if found is None:
                return None
            row = self.memory.rows[found.table]
            fences = self._chunks.grant(found, self._session, now + self._lease)
            claim = replace(self._claim(found.table, row, run_id, holder), checkpoint=None, fence=fences[-1])
            batches = tuple(row.chunks[found.chunk.number].open_batches)
            claim = replace(claim, open_batches=batches, chunk=ChunkId(found.backfill.id, found.chunk.number))
            chunk = replace(found.chunk, attempts=len(fences), fences=fences, open_batches=batches)
            return ChunkClaim(
                claim, chunk, found.backfill.layout, found.backfill.fence, found.backfill.replaces
            )

    def finish_chunk(self, claim: Claim, chunk: Chunk) -> ChunkCounts:
        with self.memory.lock:
            if not self._chunks.is_ours(claim):
                raise self._lost(claim)
            self._chunks.finish(claim, chunk)
            counts = self.chunk_counts(claim.table)
            assert counts is not None
            return counts

    def chunk_counts(self, table: str) -> ChunkCounts | None:
        with self.memory.lock:
            row = self.memory.rows.get(table)
            if row is None or row.backfill is None:
                return None
            held = self._chunks.held(row, self.memory.clock())
            return ChunkCounts(len(row.backfill.chunks), len(row.backfill.done), len(held))

    def finish(self, runs: Sequence[tuple[Claim, TableReport]]) -> None:
        with self.memory.lock:
            for claim, report in self._log(runs):
                row = self.memory.rows.get(claim.table)
                if row is not None and row.fence == claim.fence:
                    row.finish(report)

    def note(self, runs: Sequence[tuple[Claim, TableReport]]) -> None:
        with self.memory.lock:
            self._log(runs)

    def _log(self, runs: Sequence[tuple[Claim, TableReport]]) -> list[tuple[Claim, TableReport]]:
        """Those that were not logged before."""
        logged = {(log["run_id"], log["source_table"]) for log in self.memory.logs}
        new = [run for run in runs if (run[0].run_id, run[0].table) not in logged]
        self.memory.logs.extend(log_row(*run) for run in new)
        return new

    def quarantine(self, claim: Claim, rejected: Sequence[Rejected]) -> None:
        with self.memory.lock:
            self._fenced(claim, chunks=True)
            now = self.memory.clock()
            known = self._open(claim.table)
            for digest, row in merged(rejected).items():
                old = known.get(digest)
                error = ErrorRow(
                    id=old.id if old else next(self.memory.ids),
                    source_table=claim.table,
                    key=row["key"],
                    column=row["column_name"],
                    reason=row["reason"],
                    payload=row["payload"],
                    run_id=claim.run_id,
                    state="open",
                    occurrences=row["occurrences"] + (old.occurrences if old else 0),
                    created_at=old.created_at if old else now,
                    updated_at=now,
                )
                self.memory.errors[error.id] = error

    def resolve_errors(self, claim: Claim, keys: Sequence[Mapping[str, str | None]]) -> int:
        with self.memory.lock:
            self._fenced(claim, chunks=True)
            known = self._open(claim.table)
            digests = {key_digest(key) for key in keys}
            return self._close([known[digest].id for digest in digests & known.keys()], "replayed")

    def open_error_keys(self, table: str) -> list[dict[str, str | None]]:
        with self.memory.lock:
            return [error.key for error in self._open(table).values()]

    def errors(
        self,
        *,
        table: str | None = None,
        state: str | None = "open",
        ids: Sequence[int] | None = None,
        limit: int = 1000,
    ) -> list[ErrorRow]:
        with self.memory.lock:
            found = [
                error
                for error in self.memory.errors.values()
                if table in (None, error.source_table)
                and state in (None, error.state)
                and (ids is None or error.id in ids)
            ]
        return sorted(found, key=lambda error: (error.updated_at, error.id), reverse=True)[:limit]

    def dismiss(self, ids: Sequence[int]) -> int:
        with self.memory.lock:
            known = self.memory.errors
            return self._close([i for i in set(ids) if i in known and known[i].state == "open"], "dismissed")

    def watermarks(self) -> list[WatermarkRow]:
        with self.memory.lock:
            now = self.memory.clock()
            return [
                row.shown(table, now, len(self._open(table)))
                for table, row in sorted(self.memory.rows.items())
            ]

    def checkpoints(self) -> dict[str, Checkpoint]:
        with self.memory.lock:
            rows = self.memory.rows.items()
            return {table: row.checkpoint for table, row in rows if row.checkpoint is not None}

    def known_sources(self) -> dict[str, KnownSource]:
        with self.memory.lock:
            return {table: row.known for table, row in self.memory.rows.items() if row.known is not None}

    def logs(self, *, table: str | None = None, limit: int = 20) -> list[dict[str, Any]]:
        with self.memory.lock:
            found = [dict(log) for log in self.memory.logs if table in (None, log["source_table"])]
        found.sort(key=lambda log: log["source_table"])
        return sorted(found, key=lambda log: (log["started_at"], log["run_id"]), reverse=True)[:limit]

    def virtual_xids(self, source: str) -> VirtualXids:
        return self.memory.listings.get(source, VirtualXids())

    def save_virtual_xids(self, source: str, listing: VirtualXids) -> None:
        self.memory.listings[source] = listing

    def purge_logs(self, older_than_days: int) -> int:
        now = time.monotonic()
        if self._purged_at is not None and now - self._purged_at < PURGE_EVERY:
            return 0
        self._purged_at = now
        with self.memory.lock:
            oldest = self.memory.clock() - timedelta(days=older_than_days)
            before = len(self.memory.logs)
            self.memory.logs[:] = [log for log in self.memory.logs if log["started_at"] >= oldest]
            return before - len(self.memory.logs)

    def close(self) -> None:
        with self.memory.lock:
            for row in self.memory.rows.values():
                if row.session is self._session:
                    row.free()
                for chunk in row.chunks.values():
                    chunk.give_back(self._session)

    def _fenced(self, claim: Claim, *, chunks: bool = False) -> MemoryRow:
        """chunks: a claim to one will do."""
        row = self.memory.rows.get(claim.table)
        if row is not None and row.fence == claim.fence and claim.chunk is None:
            return row
        if row is not None and chunks and self._chunks.is_ours(claim):
            return row
        raise self._lost(claim)

    def _lost(self, claim: Claim) -> LeaseLost:
        what = "its lease" if claim.chunk is None else f"chunk {claim.chunk.number}"
        return LeaseLost(f"{claim.table}: run {claim.run_id} lost {what}")

    def _batches(self, claim: Claim) -> list[str]:
        row = self._fenced(claim, chunks=True)
        return row.open_batches if claim.chunk is None else row.chunks[claim.chunk.number].open_batches

    def _claim(self, table: str, row: MemoryRow, run_id: str, holder: str) -> Claim:
        columns = None if row.target_columns is None else dict(row.target_columns)
        return Claim(
            table=table,
            run_id=run_id,
            holder=holder,
            fence=row.fence,
            checkpoint=row.checkpoint,
            open_batches=tuple(row.open_batches),
            target_columns=columns,
            has_open_errors=bool(self._open(table)),
            known=row.known,
        )

    def _open(self, table: str) -> dict[str, ErrorRow]:
        """Open errors of a table by key digest, oldest first."""
        return {
            key_digest(error.key): error
            for _, error in sorted(self.memory.errors.items())
            if error.source_table == table and error.state == "open"
        }

    def _close(self, ids: Sequence[int], state: str) -> int:
        now = self.memory.clock()
        for number in ids:
            self.memory.errors[number] = replace(self.memory.errors[number], state=state, updated_at=now)
        return len(ids)
