"""The claims that one process holds, of tables and of chunks."""

from __future__ import annotations

import os
from collections.abc import Iterable

from pgsnow.ledger.claim import Claim
from pgsnow.model.backfill import ChunkId


class HeldClaims:
    """Remembers which claims were granted and not released yet, so that close() can release them.

    A forked child does not see its parent's claims.
    """

    def __init__(self) -> None:
        self._held: dict[tuple[int, str, ChunkId | None], Claim] = {}
        """By process, table and chunk."""

    def add(self, claims: Iterable[Claim]) -> None:
        self._held.update({_key(claim): claim for claim in claims})

    def remove(self, claims: Iterable[Claim]) -> None:
        """An older claim does not remove a newer one of the same table or chunk."""
        for claim in claims:
            if self._held.get(_key(claim)) == claim:
                del self._held[_key(claim)]

    def of_this_process(self) -> list[Claim]:
        return [claim for (pid, *_), claim in list(self._held.items()) if pid == os.getpid()]


def _key(claim: Claim) -> tuple[int, str, ChunkId | None]:
    return os.getpid(), claim.table, claim.chunk
