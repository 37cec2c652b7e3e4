"""The claims that one process holds, of whatever kind: renewed together, given back together."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable

from pgsnow.ledger.interface import Claim
from pgsnow.ledger.queries import Statements
from pgsnow.ledger.session import Link
from pgsnow.model.backfill import ChunkId
from pgsnow.model.errors import PgsnowError


class HeldClaims(ABC):
    """Remembers what was granted, for close() to give back. How a claim is written down is for the kinds to say."""

    def __init__(self, statements: Statements, lease_seconds: float) -> None:
        self._statements = statements
        self._lease_seconds = lease_seconds
        self._held: dict[tuple[int, str, ChunkId | None], Claim] = {}
        """By process, table and chunk."""

    def renew(self, claims: Iterable[Claim]) -> None:
        """One round trip, if there is any claim."""
        ours = list(claims)
        if ours:
            self._statements.session.run(lambda link: self._renew(link, ours))

    def release(self, claims: Iterable[Claim]) -> None:
        """One round trip, if there is any claim."""
        ours = list(claims)
        if not ours:
            return
        self._statements.session.run(lambda link: self._release(link, ours))
        for claim in ours:
            if self._held.get(_place(claim)) == claim:
                del self._held[_place(claim)]

    def release_all(self) -> None:
        """Give back what this process still holds. A server that does not answer has dropped the locks anyway."""
        try:
            self.release([claim for (pid, *_), claim in list(self._held.items()) if pid == os.getpid()])
        except PgsnowError:
            self._held.clear()

    def _hold(self, claims: Iterable[Claim]) -> None:
        self._held.update({_place(claim): claim for claim in claims})

    @abstractmethod
    def _renew(self, link: Link, claims: list[Claim]) -> None: ...

    @abstractmethod
    def _release(self, link: Link, claims: list[Claim]) -> None: ...


def _place(claim: Claim) -> tuple[int, str, ChunkId | None]:
    return os.getpid(), claim.table, claim.chunk
