"""Sends the ledger's statements by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from psycopg.types.json import Jsonb

from pgsnow.ledger.claim import Claim
from pgsnow.ledger.queries_more import Queries
from pgsnow.ledger.session import HasConninfo, LedgerSession
from pgsnow.model.errors import LeaseLost


class Statements:
    """queries.sql over one session, in one schema."""

    def __init__(self, settings: HasConninfo, schema: str) -> None:
        self.schema = schema
        self.queries = Queries(schema)
        self.session = LedgerSession(settings)

    def rows(self, name: str, **params: Any) -> list[dict[str, Any]]:
        """One statement's rows."""
        return self.session.run(lambda link: link.rows(self.queries[name], params))

    def count(self, name: str, **params: Any) -> int:
        """How many rows one statement changed."""
        return self.session.run(lambda link: link.count(self.queries[name], params))

    def fenced(self, name: str, claim: Claim, **params: Any) -> None:
        """One write under a claim. Raises LeaseLost if it changed nothing."""
        if not self.count(name, **_named(claim), **params):
            raise self.lost(claim)

    def fenced_count(self, name: str, claim: Claim, **params: Any) -> int:
        """One write under a claim to a table of its own; how many rows it changed. Raises LeaseLost."""
        [row] = self.rows(name, **_named(claim), **params)
        if not row["ours"]:
            raise self.lost(claim)
        return int(row["changed"])

    def lost(self, claim: Claim) -> LeaseLost:
        """Who has the table now, or that the chunk is another attempt's."""
        if claim.chunk is not None:
            return LeaseLost(
                f"{claim.table}: run {claim.run_id} lost chunk {claim.chunk.number}: another attempt was made at it, or"
                " the backfill is not under way any more"
            )
        found = self.rows("who_holds", table=claim.table)
        if not found:
            return LeaseLost(
                f"{claim.table}: its row in sync_watermarks is gone; run {claim.run_id} is not recorded"
            )
        row = found[0]
        if row["fence"] == claim.fence:
            return LeaseLost(
                f"{claim.table}: a later read than that of run {claim.run_id} is recorded already"
            )
        holder = f"{row['lease_holder']} has it" if row["lease_holder"] else "another run had it"
        return LeaseLost(
            f"{claim.table}: run {claim.run_id} lost its lease; {holder}, since {row['lease_since']}"
        )


def _named(claim: Claim) -> dict[str, Any]:
    """What a fenced statement knows it by."""
    chunk = claim.chunk
    return {
        "table": claim.table,
        "fence": claim.fence,
        "backfill": chunk.backfill if chunk else None,
        "number": chunk.number if chunk else None,
    }


def as_json(rows: Iterable[Any]) -> Jsonb:
    """A jsonb parameter, for jsonb_to_recordset: one statement for any number of rows."""
    return Jsonb(list(rows))
