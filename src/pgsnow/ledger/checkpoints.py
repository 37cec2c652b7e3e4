"""How far each table is read and loaded: its checkpoint, its open batches, its source and target as last
seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from psycopg.types.json import Jsonb

from pgsnow.ledger.claim import Claim
from pgsnow.ledger.queries import Statements, as_json
from pgsnow.ledger.rules import applied_until, as_time
from pgsnow.model.checkpoint import Checkpoint, VirtualXids
from pgsnow.model.evolution.drift import SourceDefinition


class Checkpoints:
    """Checkpoints and what is stored with them. Each write is one statement, and changes nothing if a
    higher fence was granted.
    """

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    def all(self) -> dict[str, Checkpoint]:
        """The checkpoint of each table that has one, without claiming it: for a preview."""
        rows = self._statements.rows("checkpoints")
        return {row["source_table"]: Checkpoint.from_json(row["checkpoint"]) for row in rows}

    def source_definitions(self) -> dict[str, SourceDefinition]:
        """The stored source definition of each table that has one, without claiming it: for a preview."""
        rows = self._statements.rows("known_sources")
        return {row["source_table"]: SourceDefinition.from_json(row["source_schema"]) for row in rows}

    def advance(self, claim: Claim, checkpoint: Checkpoint, source: SourceDefinition | None = None) -> None:
        """Move the checkpoint after Snowflake committed, and store the source's definition with it (None:
        the stored one stays). Never backward: with the same server identity and mode, a smaller x raises
        LeaseLost.
        """
        if self.advance_idle([(claim, checkpoint)], {} if source is None else {claim.table: source}):
            raise self._statements.lost(claim)

    def advance_idle(
        self,
        moves: Sequence[tuple[Claim, Checkpoint]],
        sources: Mapping[str, SourceDefinition] = MappingProxyType({}),
    ) -> list[str]:
        """`advance` for many idle tables in one statement, `sources` by table; returns the tables that
        could not move.
        """
        if not moves:
            return []
        rows = self._statements.rows(
            "advance", moves=as_json(_move(claim, to, sources.get(claim.table)) for claim, to in moves)
        )
        moved = {row["source_table"] for row in rows}
        return [claim.table for claim, _ in moves if claim.table not in moved]

    def forget(self, claim: Claim) -> None:
        """Delete the checkpoint and the backfill under way: the next read is a full one, from its
        beginning. Batches that wait in the stage become open batches.
        """
        self._statements.fenced("forget", claim)

    def open_batch(self, claim: Claim, batch: str) -> None:
        """Record the batch once, before anything of it exists in Snowflake, so that a crash leaves no
        unknown files or tables behind.
        """
        self._statements.fenced("open_chunk_batch" if claim.chunk else "open_batch", claim, batch=batch)

    def close_batches(self, claim: Claim, batches: Iterable[str]) -> None:
        """Record that nothing of these batches is left in Snowflake."""
        self._statements.fenced(
            "close_chunk_batches" if claim.chunk else "close_batches", claim, batches=list(batches)
        )

    def remember_target(self, claim: Claim, columns: Mapping[str, str] | None) -> None:
        """Cache the target's columns; None deletes them."""
        stored = None if columns is None else Jsonb(dict(columns))
        self._statements.fenced("remember_target", claim, columns=stored)

    def remember_source(self, claim: Claim, source: SourceDefinition) -> None:
        """Store the source's definition and its columns in the target, without moving the checkpoint."""
        self._statements.fenced("remember_source", claim, source=Jsonb(source.to_json()))

    def virtual_xids(self, source: str) -> VirtualXids:
        """The last saved listing of this source's virtual transactions (empty: none)."""
        rows = self._statements.rows("virtual_xids", source=source)
        return VirtualXids(**rows[0]) if rows else VirtualXids()

    def save_virtual_xids(self, source: str, listing: VirtualXids) -> None:
        """Save a listing in place of the last one."""
        begun = Jsonb(dict(listing.begun))
        self._statements.count("save_virtual_xids", source=source, taken_at=listing.taken_at, begun=begun)


def _move(claim: Claim, checkpoint: Checkpoint, source: SourceDefinition | None) -> dict[str, Any]:
    return {
        "name": claim.table,
        "fence": claim.fence,
        "checkpoint": checkpoint.to_json(),
        "watermark": checkpoint.last_watermark,
        "watermark_time": as_time(checkpoint.last_watermark),
        "applied_until": applied_until(checkpoint),
        "source": None if source is None else source.to_json(),
    }
