"""Rejected rows of tables with confidential columns: what may be stored and shown of them."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from pgsnow.ledger.claim import Claim
from pgsnow.ledger.rejected_rows import RejectedRowStore, is_key
from pgsnow.model.batch import Rejected
from pgsnow.model.config.sync_config import TransformConfig
from pgsnow.model.plan import TablePlan
from pgsnow.postgres.connection import Source
from pgsnow.postgres.read.by_key import read_all_keys
from pgsnow.sync.pipeline.row_keys import Items, Key, items_of, key_of

REDACTED = "(redacted)"
SHORTEST = 3
"""Characters. Shorter values are not looked for in a text: they occur in it anyway."""
_HASH = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True)
class ConfidentialColumns:
    """The rules of one table. A column under `hash` is stored as its hash in keys, which for texts and integers is the
    one in the target; the values of all hidden columns are left out of payloads and reasons."""

    rule: TransformConfig

    def key(self, key: Mapping[str, str | None]) -> Key:
        """The key as it is stored. Idempotent, so a value that looks like a hash stays as it is."""
        return {name: self._hashed(value) if name in self.rule.hash else value for name, value in key.items()}

    def row(self, row: Rejected) -> Rejected:
        """The rejected row as it is stored. row: with its own key, and its payload as Postgres has it."""
        values = [row.key.get(name) for name in self.rule.hash]
        values += [str(value) for name, value in (row.payload or {}).items() if name in self.rule.sensitive]
        return replace(
            row,
            key=self.key(row.key),
            payload=self.payload(row.payload),
            reason=without(row.reason, values),
            columns=tuple(replace(c, reason=without(c.reason, values)) for c in row.columns),
        )

    def payload(self, payload: Mapping[str, Any] | None) -> dict[str, Any] | None:
        if payload is None:
            return None
        return {name: REDACTED if name in self.rule.sensitive else value for name, value in payload.items()}

    def rewrite(self, store: RejectedRowStore, claim: Claim) -> None:
        """Rewrite the table's entries, in any state, that were stored before these rules. Raises LeaseLost."""
        if claim.chunk is not None:
            return  # the run of the table has done it
        hashed, hidden = list(self.rule.hash), sorted(self.rule.sensitive)
        while found := store.with_values_of(claim.table, hashed, hidden):
            store.rewrite(claim, {row["id"]: self.row(_rejected(row)) for row in found})

    def accepted(
        self, rows: pa.RecordBatch, stored: Sequence[Key], pk: Sequence[str], rejected: Iterable[int]
    ) -> list[Key]:
        """Those of the stored keys whose rows are in the batch and not rejected."""
        wanted, bad = {items_of(key) for key in stored}, set(rejected)
        keys = (self.key(key_of(rows, at, pk)) for at in range(rows.num_rows) if at not in bad)
        return [key for key in keys if items_of(key) in wanted]

    def find(self, source: Source, plan: TablePlan, stored: Sequence[Key]) -> list[Key]:
        """The source's own keys of these stored ones. Reads the key columns of all rows; without a hashed one nothing
        is read. Raises what `read_all_keys` raises."""
        if not set(plan.pk) & set(self.rule.hash):
            return list(stored)
        wanted: set[Items] = {items_of(key) for key in stored}
        found = []
        for page in read_all_keys(source, plan):
            for at in range(page.rows.num_rows):
                key = key_of(page.rows, at, plan.pk)
                if items_of(self.key(key)) in wanted:
                    found.append(key)
        return found

    def _hashed(self, value: str | None) -> str | None:
        if value is None or self.rule.salt is None or _HASH.match(value):
            return value
        salt = self.rule.salt.get_secret_value().encode("utf-8", "surrogatepass")
        return hmac.digest(salt, value.encode("utf-8", "surrogatepass"), "sha256").hex()


def without(text: str, values: Iterable[str | None]) -> str:
    """The text with these values replaced, the longest first."""
    for value in sorted({v for v in values if v and len(v) >= SHORTEST}, key=len, reverse=True):
        text = text.replace(value, REDACTED)
    return text


def _rejected(row: Mapping[str, Any]) -> Rejected:
    """An entry of the ledger as the row that it was made of. A key that was edited by hand has no values."""
    return Rejected(row["key"] if is_key(row["key"]) else {}, row["reason"], None, row["payload"])
