"""The quarantine, in the ledger in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pgsnow.ledger.memory_worker import MemoryWorker
from pgsnow.ledger.quarantine import merged
from pgsnow.ledger.store import Claim, ErrorRow
from pgsnow.ledger.values import key_digest
from pgsnow.model.batch import Rejected


class MemoryErrors(MemoryWorker):
    """Rows that could not be loaded."""

    def quarantine(self, claim: Claim, rejected: Sequence[Rejected]) -> None:
        with self.memory.lock:
            self._fenced(claim, chunks=True)
            now = self.memory.clock()
            known = self.memory.open_errors(claim.table)
            for digest, row in merged(rejected).items():
                old = known.get(digest)
                error = ErrorRow(
                    id=old.id if old else next(self.memory.ids),
                    source_table=claim.table,
                    key=row["key"],
                    column=row["column_name"],
                    reason=row["reason"],
                    payload=row["payload"],
                    run_id=claim.run_id,
                    state="open",
                    occurrences=row["occurrences"] + (old.occurrences if old else 0),
                    created_at=old.created_at if old else now,
                    updated_at=now,
                )
                self.memory.errors[error.id] = error

    def resolve_errors(self, claim: Claim, keys: Sequence[Mapping[str, str | None]]) -> int:
        with self.memory.lock:
            self._fenced(claim, chunks=True)
            known = self.memory.open_errors(claim.table)
            digests = {key_digest(key) for key in keys}
            return self.memory.close_errors(
                [known[digest].id for digest in digests & known.keys()], "replayed"
            )

    def open_error_keys(self, table: str) -> list[dict[str, str | None]]:
        with self.memory.lock:
            return [error.key for error in self.memory.open_errors(table).values()]

    def errors(
        self,
        *,
        table: str | None = None,
        state: str | None = "open",
        ids: Sequence[int] | None = None,
        limit: int = 1000,
    ) -> list[ErrorRow]:
        with self.memory.lock:
            found = [
                error
                for error in self.memory.errors.values()
                if table in (None, error.source_table)
                and state in (None, error.state)
                and (ids is None or error.id in ids)
            ]
        return sorted(found, key=lambda error: (error.updated_at, error.id), reverse=True)[:limit]

    def dismiss(self, ids: Sequence[int]) -> int:
        with self.memory.lock:
            known = self.memory.errors
            return self.memory.close_errors(
                [i for i in set(ids) if i in known and known[i].state == "open"], "dismissed"
            )
