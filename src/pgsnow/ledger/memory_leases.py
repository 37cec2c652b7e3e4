"""Leases, in the ledger in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pgsnow.ledger.memory_row import MemoryRow
from pgsnow.ledger.memory_worker import MemoryWorker
from pgsnow.ledger.store import Claim, Refusal


class MemoryLeases(MemoryWorker):
    """Who has which table, and which chunk."""

    def claim(
        self, tables: Sequence[str], *, run_id: str, holder: str, min_age: float | Mapping[str, float] = 0.0
    ) -> tuple[list[Claim], list[Refusal]]:
        claims: list[Claim] = []
        refusals: list[Refusal] = []
        with self.memory.lock:
            now = self.memory.clock()
            for table in dict.fromkeys(tables):
                row = self.memory.rows.setdefault(table, MemoryRow())
                age = min_age.get(table, 0.0) if isinstance(min_age, Mapping) else min_age
                reason = row.barred(now, age)
                if reason is not None:
                    refusals.append(Refusal(table, reason))
                elif row.held(now):
                    refusals.append(Refusal(table, "held", row.holder, row.since))
                else:
                    row.grant(self._session, run_id, holder, now, now + self._lease)
                    claims.append(self._claim(table, row, run_id, holder))
        return claims, refusals

    def renew(self, claims: Iterable[Claim]) -> None:
        with self.memory.lock:
            for claim in claims:
                row = self.memory.rows.get(claim.table)
                if claim.chunk is not None:
                    self._chunks.renew(claim, self._session, self.memory.clock() + self._lease)
                elif row is not None and row.fence == claim.fence and row.run_id == claim.run_id:
                    row.session, row.expires = self._session, self.memory.clock() + self._lease

    def release(self, claims: Iterable[Claim]) -> None:
        with self.memory.lock:
            for claim in claims:
                row = self.memory.rows.get(claim.table)
                if claim.chunk is not None:
                    self._chunks.release(claim)
                elif row is not None and row.fence == claim.fence:
                    row.free()

    def lose_session(self) -> None:
        """As if the worker were killed, or its connection cut: others may take over what it holds."""
        with self.memory.lock:
            for row in self.memory.rows.values():
                if row.session is self._session:
                    row.session = None
                for chunk in row.chunks.values():
                    chunk.lose(self._session)
            self._session = object()

    def close(self) -> None:
        with self.memory.lock:
            for row in self.memory.rows.values():
                if row.session is self._session:
                    row.free()
                for chunk in row.chunks.values():
                    chunk.give_back(self._session)
