"""Backfills and their chunks: sync_backfills, sync_chunks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg.types.json import Jsonb

from pgsnow.ledger.chunk_leases import ChunkLeases, range_of
from pgsnow.ledger.claim import FENCES_PER_CLAIM, Claim
from pgsnow.ledger.errors import UNREADABLE, unreadable
from pgsnow.ledger.queries import Queries
from pgsnow.model.backfill import Backfill, Chunk, ChunkCounts, Keys, Range, is_complete
from pgsnow.model.checkpoint import Checkpoint


class Backfills:
    """Full reads of large tables. A table has a checkpoint, or a backfill under way, or neither; never
    both: moving the checkpoint ends the backfill, in the same statement.
    """

    def __init__(self, queries: Queries, leases: ChunkLeases) -> None:
        self._queries = queries
        self.claim_chunk = leases.claim
        """See ChunkLeases.claim."""

    def current(self, claim: Claim) -> Backfill | None:
        """The backfill of the claimed table that is under way, its chunks in order. Two round trips if
        there is one. Raises LedgerRowUnreadable.
        """
        row = self._queries.execute("backfill", table=claim.table).fetchone()
        if row is None:
            return None
        chunks = tuple(_chunk(chunk) for chunk in self._queries.execute("chunks", backfill=row["id"]))
        if not is_complete([chunk.range for chunk in chunks]):
            return None  # chunks were deleted by hand: their rows would not be read
        try:
            checkpoint = Checkpoint.from_json(row["checkpoint"])
        except UNREADABLE as error:
            raise unreadable(claim.table, "backfill", self._queries.schema, error) from None
        return Backfill(**{**row, "checkpoint": checkpoint}, chunks=chunks)

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
        """Record a new backfill before anything is read for it, in place of the checkpoint and of any
        backfill under way. Raises LeaseLost.
        """
        done = self._queries.fenced(
            "begin_backfill",
            claim,
            run_id=claim.run_id,
            layout=layout,
            checkpoint=Jsonb(checkpoint.to_json()),
            prunes=prunes,
            reason=reason,
            replaces=replaces,
            reserved=FENCES_PER_CLAIM,
            schema=self._queries.schema,
            chunks=Jsonb([_columns(number, part) for number, part in enumerate(ranges)]),
        )
        [row] = done
        chunks = tuple(Chunk(number, part) for number, part in enumerate(ranges))
        return Backfill(row["backfill"], row["fence"], layout, checkpoint, prunes, reason, chunks, replaces)

    def finish_chunk(self, claim: Claim, chunk: Chunk) -> ChunkCounts:
        """Record that all rows of the chunk are in Snowflake; returns its progress. The
        claim remains until it is released. Two round trips. Raises LeaseLost, also if the backfill has
        ended.
        """
        self._queries.fenced(
            "finish_chunk",
            claim,
            rows=chunk.rows,
            rejected=chunk.rejected,
            bytes=chunk.size,
            last_watermark=chunk.last_watermark,
        )
        counts = self.counts(claim.table)
        if counts is None:
            raise self._queries.lease_lost(claim)
        return counts

    def counts(self, table: str) -> ChunkCounts | None:
        """Progress of the current backfill; None: there is no backfill."""
        row = self._queries.execute("chunk_counts", table=table).fetchone()
        return None if row is None else ChunkCounts(**row)


def _columns(number: int, part: Range) -> dict[str, Any]:
    """One chunk as `begin_backfill` takes it."""
    if isinstance(part, Keys):
        return {"number": number, "first_key": part.first, "end_key": part.end}
    return {"number": number, "first": part.first, "end": part.end}


def _chunk(row: dict[str, Any]) -> Chunk:
    return Chunk(
        row["number"],
        range_of(row),
        attempts=row["attempts"],
        done=row["done"],
        rows=row["rows"],
        rejected=row["rejected"],
        size=row["size"],
        last_watermark=row["last_watermark"],
        fences=tuple(row["fences"]),
        open_batches=tuple(row["open_batches"]),
    )
