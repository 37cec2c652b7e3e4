"""Backfills and their chunks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg.types.json import Jsonb

from pgsnow.ledger.chunk_leases import ChunkLeases
from pgsnow.ledger.claim import ChunkClaim, Claim
from pgsnow.ledger.queries import Statements, as_json
from pgsnow.ledger.ranges import columns_of, range_of
from pgsnow.ledger.rules import FENCES_OF_A_CLAIM
from pgsnow.model.backfill import Backfill, Chunk, ChunkCounts, Range
from pgsnow.model.checkpoint import Checkpoint


class Backfills:
    """Full reads of large tables. A table has a checkpoint, or a backfill under way, or neither; never
    both: moving the checkpoint ends the backfill, in the same statement.
    """

    def __init__(self, statements: Statements, leases: ChunkLeases) -> None:
        self._statements = statements
        self._leases = leases

    def current(self, claim: Claim) -> Backfill | None:
        """The backfill of the claimed table that is under way, its chunks in order. Two round trips if
        there is one.
        """
        rows = self._statements.rows("backfill", table=claim.table)
        if not rows:
            return None
        chunks = self._statements.rows("chunks", backfill=rows[0]["id"])
        return Backfill(
            **{**rows[0], "checkpoint": Checkpoint.from_json(rows[0]["checkpoint"])},
            chunks=tuple(_chunk(chunk) for chunk in chunks),
        )

    def begin(
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
        """Start a backfill, in place of the checkpoint and of any backfill under way, before anything is
        read for it. Raises LeaseLost.
        """
        rows = self._statements.rows(
            "begin_backfill",
            table=claim.table,
            fence=claim.fence,
            run_id=claim.run_id,
            layout=layout,
            checkpoint=Jsonb(checkpoint.to_json()),
            prunes=prunes,
            reason=reason,
            replaces=replaces,
            reserved=FENCES_OF_A_CLAIM,
            schema=self._statements.schema,
            chunks=as_json(columns_of(number, of) for number, of in enumerate(ranges)),
        )
        if not rows:
            raise self._statements.lost(claim)
        chunks = tuple(Chunk(number, of) for number, of in enumerate(ranges))
        return Backfill(
            rows[0]["backfill"], rows[0]["fence"], layout, checkpoint, prunes, reason, chunks, replaces
        )

    def claim_chunk(self, tables: Mapping[str, int], *, run_id: str, holder: str) -> ChunkClaim | None:
        """Claim a chunk that is not done and that no living worker holds, of one of these tables' backfills;
        None: there is none.

        tables: the largest number of chunks of each that all workers together may hold at once. Low chunk
        numbers come first, so that tables take turns. Chunks of a paused table wait. The table itself need
        not be claimed; `leases.renew` and `leases.release` take the chunk's claim. Four round trips.
        """
        return self._leases.claim(tables, run_id=run_id, holder=holder)

    def finish_chunk(self, claim: Claim, chunk: Chunk) -> ChunkCounts:
        """Store `chunk` once all its rows are in Snowflake; returns how far the backfill is with it. The
        claim stands until it is released. Two round trips. Raises LeaseLost, also if the backfill is not
        under way any more.
        """
        self._statements.fenced(
            "finish_chunk",
            claim,
            rows=chunk.rows,
            rejected=chunk.rejected,
            bytes=chunk.size,
            last_watermark=chunk.last_watermark,
        )
        counts = self.counts(claim.table)
        if counts is None:
            raise self._statements.lost(claim)
        return counts

    def counts(self, table: str) -> ChunkCounts | None:
        """How far the backfill under way is; None: there is none."""
        rows = self._statements.rows("chunk_counts", table=table)
        return ChunkCounts(**rows[0]) if rows else None


def _chunk(row: dict[str, Any]) -> Chunk:
    of = range_of(**{name: row.pop(name) for name in ("first_block", "end_block", "first_key", "end_key")})
    fences, batches = tuple(row.pop("fences")), tuple(row.pop("open_batches"))
    return Chunk(range=of, fences=fences, open_batches=batches, **row)
