"""sync_errors: rows that could not go on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pgsnow.ledger.interface import Claim, ErrorRow
from pgsnow.ledger.json_payload import bounded, cut, storable
from pgsnow.ledger.queries import Statements, as_json
from pgsnow.ledger.rules import key_digest
from pgsnow.model.batch import Rejected

CHUNK = 500
"""Rows a statement: at the longest payload, some 32 MB."""


class RejectedRowStore:
    """Opens, lists and closes errors."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    def add(self, claim: Claim, rejected: Sequence[Rejected]) -> None:
        """CHUNK rows a statement. Raises LeaseLost."""
        for chunk in _chunks(list(merged(rejected).values())):
            self._statements.fenced_count("quarantine", claim, run_id=claim.run_id, rows=as_json(chunk))

    def resolve(self, claim: Claim, keys: Sequence[Mapping[str, str | None]]) -> int:
        """How many were open. Raises LeaseLost."""
        return self._statements.fenced_count(
            "resolve_errors", claim, digests=[key_digest(key) for key in keys]
        )

    def open_keys(self, table: str) -> list[dict[str, str | None]]:
        """Oldest first."""
        return [row["key"] for row in self._statements.rows("open_error_keys", table=table)]

    def listed(
        self, *, table: str | None, state: str | None, ids: Sequence[int] | None, limit: int
    ) -> list[ErrorRow]:
        """Newest first."""
        wanted = None if ids is None else [*ids]
        rows = self._statements.rows("errors", table=table, state=state, ids=wanted, limit=limit)
        return [ErrorRow(**{_FIELD.get(name, name): value for name, value in row.items()}) for row in rows]

    def dismiss(self, ids: Sequence[int]) -> int:
        """How many were open."""
        return self._statements.count("dismiss", ids=[*ids])


_FIELD = {"column_name": "column"}


def merged(rejected: Sequence[Rejected]) -> dict[str, dict[str, Any]]:
    """By key digest, one row a key: the last refusal, and how often there was one."""
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
            "occurrences": 1 + (earlier["occurrences"] if earlier else 0),
        }
    return rows


def _chunks(rows: Sequence[dict[str, Any]]) -> Iterator[Sequence[dict[str, Any]]]:
    for start in range(0, len(rows), CHUNK):
        yield rows[start : start + CHUNK]
