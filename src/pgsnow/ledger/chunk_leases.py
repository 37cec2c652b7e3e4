"""Who may load a chunk: as with tables (see leases.py), a lease that carries a fence, and an advisory lock
that shows its holder lives. Who asks for one is not refused while there is another: it gets the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pgsnow.ledger.claim import ChunkClaim, Claim
from pgsnow.ledger.held_claims import HeldClaims
from pgsnow.ledger.queries import Statements, as_json
from pgsnow.ledger.ranges import range_of
from pgsnow.ledger.session import Link
from pgsnow.model.backfill import Chunk, ChunkId
from pgsnow.model.evolution.drift import SourceDefinition


class ChunkLeases:
    """Claims, renews and releases chunks of the backfills under way in one ledger."""

    def __init__(self, statements: Statements, lease_seconds: float, held: HeldClaims) -> None:
        self._statements = statements
        self._lease_seconds = lease_seconds
        self._held = held

    def claim(self, tables: Mapping[str, int], *, run_id: str, holder: str) -> ChunkClaim | None:
        """See Backfills.claim_chunk."""
        if not tables:
            return None
        params = {"run_id": run_id, "holder": holder, "lease_seconds": self._lease_seconds}
        wanted = [{"name": name, "at_most": at_most} for name, at_most in tables.items()]
        row = self._statements.session.run(lambda link: self._claim(link, wanted, params))
        if row is None:
            return None
        claimed = _chunk_claim(row, run_id, holder)
        self._held.add([claimed.claim])
        return claimed

    def renew(self, claims: list[Claim]) -> None:
        """One round trip."""
        self._statements.session.run(lambda link: self._renew(link, claims))

    def release(self, claims: list[Claim]) -> None:
        """One round trip."""
        self._statements.session.run(lambda link: self._release(link, claims))

    def _claim(
        self, link: Link, wanted: list[dict[str, Any]], params: dict[str, Any]
    ) -> dict[str, Any] | None:
        """A statement sees what was there when it began, so waiting for one's turn is a statement of its
        own.
        """
        queries = self._statements.queries
        with link.connection.transaction():
            link.rows(queries["queue_for_chunks"], {"tables": [table["name"] for table in wanted]})
            rows = link.rows(
                queries["claim_chunk"],
                {**params, "wanted": as_json(wanted), "locked": list(link.locked_chunks)},
            )
        if not rows:
            return None
        if rows[0]["has_lock"]:
            link.locked_chunks[rows[0]["lock_key"]] = (_id(rows[0]), rows[0]["fences"][-1])
        return rows[0]

    def _renew(self, link: Link, claims: list[Claim]) -> None:
        fences = {claim.chunk: claim.fence for claim in claims if claim.chunk is not None}
        rows = link.rows(
            self._statements.queries["renew_chunks"],
            {"claims": _as_json(link, claims), "lease_seconds": self._lease_seconds},
        )
        for row in rows:
            if row["has_lock"]:
                link.locked_chunks[row["lock_key"]] = (_id(row), fences[_id(row)])

    def _release(self, link: Link, claims: list[Claim]) -> None:
        ours = {(claim.chunk, claim.fence) for claim in claims}
        locked = [key for key, held in link.locked_chunks.items() if held in ours]
        link.rows(
            self._statements.queries["release_chunks"], {"claims": _as_json(link, claims), "locked": locked}
        )
        for key in locked:
            del link.locked_chunks[key]


def _as_json(link: Link, claims: list[Claim]) -> Any:
    locked = set(link.locked_chunks.values())
    return as_json(
        {
            "backfill": claim.chunk.backfill,
            "number": claim.chunk.number,
            "fence": claim.fence,
            "locked": (claim.chunk, claim.fence) in locked,
        }
        for claim in claims
        if claim.chunk is not None
    )


def _id(row: dict[str, Any]) -> ChunkId:
    return ChunkId(row["backfill"], row["number"])


def _chunk_claim(row: dict[str, Any], run_id: str, holder: str) -> ChunkClaim:
    fences = tuple(row["fences"])
    claim = Claim(
        table=row["source_table"],
        run_id=run_id,
        holder=holder,
        fence=fences[-1],
        checkpoint=None,
        open_batches=tuple(row["open_batches"]),
        target_columns=row["target_columns"],
        has_open_errors=row["has_open_errors"],
        known=None if row["source_schema"] is None else SourceDefinition.from_json(row["source_schema"]),
        chunk=_id(row),
    )
    of = range_of(row["first_block"], row["end_block"], row["first_key"], row["end_key"])
    chunk = Chunk(row["number"], of, attempts=row["attempts"], fences=fences, open_batches=claim.open_batches)
    return ChunkClaim(claim, chunk, row["layout"], row["backfill_fence"], row["replaces"])
