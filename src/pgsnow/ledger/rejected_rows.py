"""sync_errors: rows that were rejected, by a transform or because the target cannot hold them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Jsonb

from pgsnow.ledger.claim import Claim
from pgsnow.ledger.queries import Queries, bounded, cut, storable
from pgsnow.ledger.rows import ErrorRow, RejectedCount
from pgsnow.model.batch import Rejected

CHUNK = 500
"""Rows per statement; with the longest payloads that is some 32 MB."""


@dataclass(frozen=True, slots=True)
class RejectedRowStore:
    """Adds, lists and closes rejected rows. An error is open until it is replayed or dismissed."""

    queries: Queries

    def add(self, claim: Claim, rejected: Sequence[Rejected]) -> None:
        """Store rejected rows. A key that is open already is updated (occurrences + 1), not doubled. One
        statement per CHUNK rows. Raises LeaseLost.
        """
        for chunk in _chunks(list(merged(rejected).values())):
            self.queries.fenced_count(
                "add_rejected_rows", claim, run_id=claim.run_id, rows=Jsonb(list(chunk))
            )

    def resolve(self, claim: Claim, keys: Sequence[Mapping[str, str | None]]) -> int:
        """Mark open errors of these keys 'replayed': newer versions of the rows were loaded. Returns how
        many were open. Raises LeaseLost.
        """
        return self.queries.fenced_count(
            "resolve_rejected_rows", claim, digests=[key_digest(key) for key in keys]
        )

    def rename_keys(self, claim: Claim, names: Mapping[str, str]) -> None:
        """Store the table's open errors under the new names (old → new) of its key's columns. Idempotent. Raises
        LeaseLost.
        """
        rows = []
        for key in self.open_keys(claim.table):
            renamed = {names.get(name, name): value for name, value in key.items()}
            if renamed != key:
                rows.append({"key": renamed, "digest": key_digest(renamed), "old": key_digest(key)})
        if rows:
            self.queries.fenced_count("rename_rejected_keys", claim, rows=Jsonb(rows))

    def with_values_of(
        self, table: str, hashed: Sequence[str], hidden: Sequence[str]
    ) -> list[dict[str, Any]]:
        """CHUNK entries of one table, in any state, whose key has a value of the columns `hashed` that is no hash, or
        whose payload has a value of the columns `hidden`: id, key, payload and reason."""
        found = self.queries.execute(
            "confidential_rows", table=table, hashed=[*hashed], hidden=[*hidden], limit=CHUNK
        )
        return found.fetchall()

    def rewrite(self, claim: Claim, rows: Mapping[int, Rejected]) -> None:
        """Replace key, payload and reason of these entries, by id. An open one whose key is open already is dismissed.
        Raises LeaseLost."""
        written = [
            {
                "id": number,
                "key": storable(row.key),
                "digest": key_digest(row.key),
                "payload": bounded(row.payload),
                "reason": cut(row.reason),
            }
            for number, row in rows.items()
        ]
        self.queries.fenced_count("rewrite_rejected_rows", claim, rows=Jsonb(written))

    def open_keys(self, table: str) -> list[dict[str, str | None]]:
        """Keys of one table with an open error, oldest first; without those that were edited by hand and are no keys
        any more."""
        return _readable(self.queries.execute("open_keys", table=table))

    def open_reasons(self, table: str) -> list[tuple[dict[str, str | None], str]]:
        """Keys of one table with an open error, oldest first, and why each row was rejected."""
        return [(row["key"], row["reason"]) for row in self.queries.execute("open_reasons", table=table)]

    def unjudged_keys(self, table: str) -> list[dict[str, str | None]]:
        """Keys with an open error of which it is not known whether the target has an older version of the row."""
        return _readable(self.queries.execute("unjudged_keys", table=table))

    def mark_stale(
        self, claim: Claim, held: Sequence[Mapping[str, str | None]], *, only_unknown: bool
    ) -> None:
        """Record for open errors whether the target has an older version of their rows: it has those of the keys
        `held`, and no others. only_unknown: of errors of which that is not known yet. Raises LeaseLost."""
        digests = [key_digest(key) for key in held]
        self.queries.fenced_count("mark_stale", claim, digests=digests, only_unknown=only_unknown)

    def listed(
        self,
        *,
        table: str | None = None,
        state: str | None = "open",
        ids: Sequence[int] | None = None,
        limit: int = 1000,
    ) -> list[ErrorRow]:
        """Errors with these properties, newest first; None stands for any."""
        wanted = None if ids is None else [*ids]
        rows = self.queries.execute("rejected_rows", table=table, state=state, ids=wanted, limit=limit)
        return [ErrorRow(**row) for row in rows]

    def page(
        self,
        *,
        table: str | None = None,
        state: str | None = "open",
        before: int | None = None,
        limit: int = 50,
    ) -> list[ErrorRow]:
        """A page of errors by number, largest first. before: the number of the last one of the page before."""
        rows = self.queries.execute("rejected_page", table=table, state=state, before=before, limit=limit)
        return [ErrorRow(**row) for row in rows]

    def counts(self, table: str | None = None) -> list[RejectedCount]:
        """Open errors by table and reason, the most frequent reason of each table first."""
        return [RejectedCount(**row) for row in self.queries.execute("rejected_counts", table=table)]

    def dismiss(self, ids: Sequence[int]) -> int:
        """Mark open errors 'dismissed'. Returns how many were open."""
        return self.queries.execute("dismiss", ids=[*ids]).rowcount


def merged(rejected: Sequence[Rejected]) -> dict[str, dict[str, Any]]:
    """One row per key, by key digest: its last rejection, and how many there were."""
    rows: dict[str, dict[str, Any]] = {}
    for row in rejected:
        digest = key_digest(row.key)
        earlier = rows.get(digest)
        rows[digest] = {
            "key": storable(row.key),
            "digest": digest,
            "column_name": row.column,
            "payload": bounded(row.payload),
            "reason": cut(row.reason),
            "bad_columns": [
                {"name": c.name, "reason": cut(c.reason), "admitted_by": c.admitted_by} for c in row.columns
            ],
            "occurrences": 1 + (earlier["occurrences"] if earlier else 0),
        }
    return rows


def key_digest(key: Mapping[str, str | None]) -> str:
    """SHA-256 (hex) of the key as JSON with sorted names: equal for equal keys, and short enough to index."""
    return hashlib.sha256(json.dumps(storable(dict(key)), sort_keys=True).encode()).hexdigest()


def is_key(value: Any) -> bool:
    """True if the value has the form in which keys are stored: texts by column."""
    return isinstance(value, dict) and all(v is None or isinstance(v, str) for v in value.values())


def _readable(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, str | None]]:
    return [row["key"] for row in rows if is_key(row["key"])]


def _chunks(rows: Sequence[dict[str, Any]]) -> Iterator[Sequence[dict[str, Any]]]:
    for start in range(0, len(rows), CHUNK):
        yield rows[start : start + CHUNK]
