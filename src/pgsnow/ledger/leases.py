"""Who may sync a table: a lease row that carries the fence, and an advisory lock that shows its holder lives.

The fence alone protects: every write names it. The lock only makes it quick to take over from the dead:
Postgres drops it with the holder's session, while the lease itself still has minutes to run. A holder whose
session is cut (its own network, a server restart) loses the lock; until its next renew() anyone may take the
table over, and if somebody did, everything it still writes raises LeaseLost. If nobody did, it goes on
undisturbed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import psycopg

from pgsnow.ledger.chunk_leases import ChunkLeases
from pgsnow.ledger.claim import Claim, Refusal
from pgsnow.ledger.held_claims import HeldClaims
from pgsnow.ledger.queries import Statements, as_json
from pgsnow.ledger.rules import FENCES_OF_A_CLAIM, lock_key
from pgsnow.ledger.session import Link
from pgsnow.model.checkpoint import Checkpoint
from pgsnow.model.deferred_batch import StagedBatch
from pgsnow.model.errors import PgsnowError
from pgsnow.model.evolution.drift import SourceDefinition

HELD = "held"


class Leases:
    """Claims tables; renews and releases claims of tables and of chunks."""

    def __init__(self, statements: Statements, lease_seconds: float) -> None:
        self._statements = statements
        self._lease_seconds = lease_seconds
        self._held = HeldClaims()
        self.chunks = ChunkLeases(statements, lease_seconds, self._held)

    def claim(
        self, tables: Sequence[str], *, run_id: str, holder: str, min_age: float | Mapping[str, float] = 0.0
    ) -> tuple[list[Claim], list[Refusal]]:
        """Claim those tables that nobody holds. One round trip, or three if a table has no row yet.

        A holder whose session is gone (killed, cut off) holds nothing. min_age: seconds since the start of
        the last run that succeeded, for all tables or by table (missing: 0); a table that ran more recently
        is refused as 'not due' (a second beat, a repeated message, a table with a longer interval).
        """
        names = list(dict.fromkeys(tables))
        if not names:
            return [], []
        params = {
            "run_id": run_id,
            "holder": holder,
            "lease_seconds": self._lease_seconds,
            "reserved": FENCES_OF_A_CLAIM,
        }
        ages = {name: min_age.get(name, 0.0) if isinstance(min_age, Mapping) else min_age for name in names}
        found = self._statements.session.run(lambda link: self._claim_all(link, ages, params))
        claims = [_claim(found[n], run_id, holder) for n in names if found[n]["fence"] is not None]
        self._held.add(claims)
        return claims, [_refusal(found[name]) for name in names if found[name]["fence"] is None]

    def renew(self, claims: Iterable[Claim]) -> None:
        """Extend these claims. Lost ones are left out silently; their next write raises LeaseLost."""
        tables, chunks = _by_kind(claims)
        if tables:
            self._statements.session.run(lambda link: self._renew(link, tables))
        if chunks:
            self.chunks.renew(chunks)

    def release(self, claims: Iterable[Claim]) -> None:
        """Give these claims back. Never raises LeaseLost."""
        tables, chunks = _by_kind(claims)
        if tables:
            self._statements.session.run(lambda link: self._release(link, tables))
        if chunks:
            self.chunks.release(chunks)
        self._held.remove([*tables, *chunks])

    def release_all(self) -> None:
        """Release all claims of this process. A server that does not answer has dropped the locks anyway."""
        held = self._held.of_this_process()
        try:
            self.release(held)
        except PgsnowError:
            self._held.remove(held)

    def _claim_all(
        self, link: Link, ages: Mapping[str, float], params: dict[str, Any]
    ) -> dict[str, dict[str, Any]]:
        found = self._try(link, ages, params)
        missing = {name: age for name, age in ages.items() if name not in found}
        if missing:
            link.count(self._statements.queries["add_tables"], {"names": list(missing)})
            found |= self._try(link, missing, params)
        return found

    def _try(
        self, link: Link, ages: Mapping[str, float], params: dict[str, Any]
    ) -> dict[str, dict[str, Any]]:
        wanted = as_json(
            {"name": name, "key": self._key(name), "locked": name in link.locked, "min_age": age}
            for name, age in ages.items()
        )
        try:
            rows = link.rows(self._statements.queries["claim"], {**params, "wanted": wanted})
        except psycopg.Error:
            self._undo_locks(link, list(ages))
            raise
        link.locked |= {row["source_table"]: row["fence"] for row in rows if row["fence"] and row["has_lock"]}
        return {row["source_table"]: row for row in rows}

    def _undo_locks(self, link: Link, names: list[str]) -> None:
        """A statement that failed half-way has granted nothing, but advisory locks are not undone with it."""
        if not link.connection.closed:
            keys = [self._key(name) for name in names if name not in link.locked]
            link.rows(self._statements.queries["unlock"], {"keys": keys})

    def _renew(self, link: Link, claims: list[Claim]) -> None:
        rows = link.rows(
            self._statements.queries["renew"],
            {"claims": self._as_json(link, claims), "lease_seconds": self._lease_seconds},
        )
        fences = {claim.table: claim.fence for claim in claims}
        link.locked |= {row["source_table"]: fences[row["source_table"]] for row in rows if row["has_lock"]}

    def _release(self, link: Link, claims: list[Claim]) -> None:
        link.rows(self._statements.queries["release"], {"claims": self._as_json(link, claims)})
        for claim in claims:
            if link.locked.get(claim.table) == claim.fence:
                del link.locked[claim.table]

    def _as_json(self, link: Link, claims: list[Claim]) -> Any:
        return as_json(
            {
                "name": claim.table,
                "fence": claim.fence,
                "run_id": claim.run_id,
                "key": self._key(claim.table),
                "locked": link.locked.get(claim.table) == claim.fence,
            }
            for claim in claims
        )

    def _key(self, table: str) -> int:
        return lock_key(self._statements.schema, table)


def _by_kind(claims: Iterable[Claim]) -> tuple[list[Claim], list[Claim]]:
    """Claims of tables, and claims of chunks."""
    every = list(claims)
    return [c for c in every if c.chunk is None], [c for c in every if c.chunk is not None]


def _claim(row: dict[str, Any], run_id: str, holder: str) -> Claim:
    return Claim(
        table=row["source_table"],
        run_id=run_id,
        holder=holder,
        fence=row["fence"],
        checkpoint=None if row["checkpoint"] is None else Checkpoint.from_json(row["checkpoint"]),
        open_batches=tuple(row["open_batches"]),
        target_columns=row["target_columns"],
        has_open_errors=row["has_open_errors"],
        known=None if row["source_schema"] is None else SourceDefinition.from_json(row["source_schema"]),
        staged=tuple(StagedBatch.from_json(batch) for batch in row["staged"] or ()),
        staged_at=row["staged_at"] or 0.0,
        granted_at=row["granted_at"],
    )


def _refusal(row: dict[str, Any]) -> Refusal:
    if row["barred"]:
        return Refusal(row["source_table"], row["barred"])
    return Refusal(row["source_table"], HELD, row["lease_holder"], row["lease_since"])
