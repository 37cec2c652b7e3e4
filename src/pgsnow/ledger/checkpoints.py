"""How far a table is: its checkpoint, its open batches, its target as last seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from psycopg.types.json import Jsonb

from pgsnow.ledger.interface import Claim
from pgsnow.ledger.queries import Statements, as_json
from pgsnow.ledger.rules import applied_until, as_time
from pgsnow.model.checkpoint import Checkpoint
from pgsnow.model.evolution.drift import SourceDefinition


class Checkpoints:
    """Writes under a claim; each is one statement, and changes nothing if a higher fence was granted."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    def known(self) -> dict[str, Checkpoint]:
        """By table; those without one are left out."""
        rows = self._statements.rows("checkpoints")
        return {row["source_table"]: Checkpoint.from_json(row["checkpoint"]) for row in rows}

    def known_sources(self) -> dict[str, SourceDefinition]:
        """By table; those of which nothing is known are left out."""
        rows = self._statements.rows("known_sources")
        return {row["source_table"]: SourceDefinition.from_json(row["source_schema"]) for row in rows}

    def advance(self, claim: Claim, checkpoint: Checkpoint, source: SourceDefinition | None) -> None:
        """Raises LeaseLost, also for a step back."""
        if self.advance_all([(claim, checkpoint)], {} if source is None else {claim.table: source}):
            raise self._statements.lost(claim)

    def advance_all(
        self, moves: Sequence[tuple[Claim, Checkpoint]], sources: Mapping[str, SourceDefinition]
    ) -> list[str]:
        """Tables that could not move."""
        if not moves:
            return []
        rows = self._statements.rows(
            "advance", moves=as_json(_move(claim, to, sources.get(claim.table)) for claim, to in moves)
        )
        moved = {row["source_table"] for row in rows}
        return [claim.table for claim, _ in moves if claim.table not in moved]

    def forget(self, claim: Claim) -> None:
        """The next read is a full one."""
        self._statements.fenced("forget", claim)

    def open_batch(self, claim: Claim, batch: str) -> None:
        """Listed once."""
        self._statements.fenced("open_chunk_batch" if claim.chunk else "open_batch", claim, batch=batch)

    def close_batches(self, claim: Claim, batches: Iterable[str]) -> None:
        """Off the list."""
        self._statements.fenced(
            "close_chunk_batches" if claim.chunk else "close_batches", claim, batches=list(batches)
        )

    def remember_target(self, claim: Claim, columns: Mapping[str, str] | None) -> None:
        """None: look again."""
        stored = None if columns is None else Jsonb(dict(columns))
        self._statements.fenced("remember_target", claim, columns=stored)

    def remember_source(self, claim: Claim, source: SourceDefinition) -> None:
        """Without moving the checkpoint."""
        self._statements.fenced("remember_source", claim, source=Jsonb(source.to_json()))


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
