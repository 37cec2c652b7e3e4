"""Backfills and their chunks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg.types.json import Jsonb

from pgsnow.ledger.interface import Claim
from pgsnow.ledger.queries import Statements, as_json
from pgsnow.ledger.ranges import columns_of, range_of
from pgsnow.ledger.rules import FENCES_OF_A_CLAIM
from pgsnow.model.backfill import Backfill, Chunk, ChunkCounts, Range
from pgsnow.model.checkpoint import Checkpoint


class Backfills:
    """One under way a table at most; its row in sync_watermarks names it."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    def under_way(self, claim: Claim) -> Backfill | None:
        """Two round trips where there is one."""
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
        """Raises LeaseLost."""
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

    def finish_chunk(self, claim: Claim, chunk: Chunk) -> ChunkCounts:
        """Two round trips. Raises LeaseLost."""
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
        """One round trip."""
        rows = self._statements.rows("chunk_counts", table=table)
        return ChunkCounts(**rows[0]) if rows else None


def _chunk(row: dict[str, Any]) -> Chunk:
    of = range_of(**{name: row.pop(name) for name in ("first_block", "end_block", "first_key", "end_key")})
    fences, batches = tuple(row.pop("fences")), tuple(row.pop("open_batches"))
    return Chunk(range=of, fences=fences, open_batches=batches, **row)
