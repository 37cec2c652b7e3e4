"""Certificates of tables, and the progress of their continuous comparisons, in sync_watermarks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg.types.json import Jsonb

from pgsnow.ledger.claim import Claim
from pgsnow.ledger.queries import Queries, storable
from pgsnow.model.comparison.certificate import Certificate, OpenDifferences, Verification

Bound = tuple[str, ...]
"""The first key of a range, as text."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """The results of comparisons, by table. Each write is one statement."""

    queries: Queries

    def of(self, table: str) -> Verification:
        """The stored results of this table; none if it has no row. Does not claim it."""
        row = self.queries.execute("verification", table=table).fetchone()
        return Verification.from_json(row["verification"] if row else None)

    def record(self, table: str, certificate: Certificate, found: OpenDifferences | None) -> None:
        """Store the result of a complete comparison by a command, which has not claimed the table. found: its
        differences that are not repaired. A round under way goes on. A table without a row gets none."""
        now = self.of(table).certified(certificate, found).to_json()
        stored = {name: now[name] for name in ("certificates", "differences")}
        self.queries.execute("record_certificate", table=table, stored=Jsonb(storable(stored)))

    def save(self, claim: Claim, verification: Verification, bounds: Sequence[Bound] | None = None) -> None:
        """Store what a run has compared. bounds: between the ranges of a round that begins (None: they stay). Raises
        LeaseLost."""
        self.queries.fenced(
            "save_verification",
            claim,
            stored=Jsonb(storable(verification.to_json())),
            bounds=None if bounds is None else Jsonb(storable([list(bound) for bound in bounds])),
        )

    def bounds(self, table: str) -> list[Bound]:
        """The bounds between the ranges of the round under way, in order. Damaged ones count as none."""
        row = self.queries.execute("verification_bounds", table=table).fetchone()
        found = row["verification_bounds"] if row else None
        if not isinstance(found, list) or not all(isinstance(bound, list) for bound in found):
            return []
        return [tuple(map(str, bound)) for bound in found]
