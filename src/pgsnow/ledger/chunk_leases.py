"""Leases of chunks: which worker may load a chunk. As with tables (see leases.py), a lease carries a
fence, and an advisory lock shows that its holder is alive. If a chunk is taken,
the worker gets the next free one instead of a refusal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Jsonb

from pgsnow.ledger.claim import ChunkClaim, Claim
from pgsnow.ledger.queries import Queries, statement
from pgsnow.ledger.session import LedgerConnection
from pgsnow.model.backfill import Blocks, Chunk, ChunkId, Keys, Range
from pgsnow.model.evolution.drift import SourceDefinition
from pgsnow.model.table import KnownTarget

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ChunkLeases:
    """Claims, renews and releases chunks of the backfills under way in one ledger."""

    queries: Queries
    lease_seconds: float

    def claim(self, tables: Mapping[str, int], *, run_id: str, holder: str) -> ChunkClaim | None:
        """Claim a chunk that is not done and that no living worker holds, of one of these tables' backfills;
        None: there is none.

        tables: the largest number of chunks of each that all workers together may hold at once. Low chunk
        numbers come first, so that tables take turns. Chunks of a paused table wait. The table itself need
        not be claimed; `leases.renew` and `leases.release` take the chunk's claim. Four round trips.
        """
        if not tables:
            return None
        row = self.queries.session.run(lambda connection: self._claim(connection, tables, run_id, holder))
        if row is None:
            return None
        claimed = _chunk_claim(row, run_id, holder)
        self.queries.session.process.claims[claimed.claim.table, claimed.claim.chunk] = claimed.claim
        return claimed

    def renew(self, claims: list[Claim]) -> None:
        """One round trip."""
        self.queries.session.run(lambda connection: self._renew(connection, claims))

    def release(self, claims: list[Claim]) -> None:
        """One round trip."""
        self.queries.session.run(lambda connection: self._release(connection, claims))

    def _claim(
        self, connection: LedgerConnection, tables: Mapping[str, int], run_id: str, holder: str
    ) -> Row | None:
        """A statement sees what was committed when it began, so waiting for earlier claims is a statement
        of its own.
        """
        params = {
            "wanted": Jsonb([{"name": name, "at_most": at_most} for name, at_most in tables.items()]),
            "locked": list(connection.locked_chunks),
            "run_id": run_id,
            "holder": holder,
            "lease_seconds": self.lease_seconds,
            "has_own_session": connection.has_own_session,
        }
        with connection.transaction():
            connection.execute(statement("queue_for_chunks", self.queries.schema), {"tables": list(tables)})
            row = connection.execute(statement("claim_chunk", self.queries.schema), params).fetchone()
        if row is not None and row["has_lock"]:
            connection.locked_chunks[row["lock_key"]] = (_id(row), row["fences"][-1])
        return row

    def _renew(self, connection: LedgerConnection, claims: list[Claim]) -> None:
        fences = {claim.chunk: claim.fence for claim in claims}
        params = {
            "claims": _as_json(connection, claims),
            "lease_seconds": self.lease_seconds,
            "has_own_session": connection.has_own_session,
        }
        for row in connection.execute(statement("renew_chunks", self.queries.schema), params):
            if row["has_lock"]:
                connection.locked_chunks[row["lock_key"]] = (_id(row), fences[_id(row)])

    def _release(self, connection: LedgerConnection, claims: list[Claim]) -> None:
        ours = {(claim.chunk, claim.fence) for claim in claims}
        locked = [key for key, held in connection.locked_chunks.items() if held in ours]
        params = {"claims": _as_json(connection, claims), "locked": locked}
        connection.execute(statement("release_chunks", self.queries.schema), params)
        for key in locked:
            del connection.locked_chunks[key]


def range_of(row: Row) -> Range:
    """The rows of a chunk, from the columns of sync_chunks. first_block is NULL for ranges of keys only."""
    if row["first_block"] is None:
        return Keys(row["first_key"], row["end_key"])
    return Blocks(row["first_block"], row["end_block"])


def _as_json(connection: LedgerConnection, claims: list[Claim]) -> Jsonb:
    locked = set(connection.locked_chunks.values())
    return Jsonb(
        [
            {
                "backfill": claim.chunk.backfill,
                "number": claim.chunk.number,
                "fence": claim.fence,
                "locked": (claim.chunk, claim.fence) in locked,
            }
            for claim in claims
            if claim.chunk is not None
        ]
    )


def _id(row: Row) -> ChunkId:
    return ChunkId(row["backfill"], row["number"])


def _chunk_claim(row: Row, run_id: str, holder: str) -> ChunkClaim:
    fences, batches, stored = tuple(row["fences"]), tuple(row["open_batches"]), row["source_schema"]
    claim = Claim(
        table=row["source_table"],
        run_id=run_id,
        holder=holder,
        fence=fences[-1],
        checkpoint=None,
        open_batches=batches,
        target_columns=row["target_columns"],
        target=KnownTarget(row["target_created_on"], None, row["loaded_columns"] or {}),
        has_open_errors=row["has_open_errors"],
        stored_definition=None if stored is None else SourceDefinition.from_json(stored),
        chunk=_id(row),
        ledger=row["ledger"] or "",
        places=tuple(row["places"]),
    )
    chunk = Chunk(row["number"], range_of(row), attempts=row["attempts"], fences=fences, open_batches=batches)
    return ChunkClaim(claim, chunk, row["layout"], row["backfill_fence"], row["replaces"])
