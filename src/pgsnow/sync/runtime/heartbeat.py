"""Renews the leases of a tick in a background thread."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import TracebackType

from pgsnow.ledger.claim import Claim
from pgsnow.ledger.leases import Leases
from pgsnow.model.errors import PgsnowError

EVERY = 60.0
"""Seconds; a lease lasts ten times as long."""


class Heartbeat:
    """A context manager that renews these claims every `every` seconds."""

    def __init__(self, leases: Leases, claims: Sequence[Claim], every: float = EVERY) -> None:
        self._leases = leases
        self._claims = {claim.table: claim for claim in claims}
        self._every = every
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="pgsnow-heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        if self._claims:
            self._thread.start()
        return self

    def forget(self, claim: Claim) -> None:
        """Stop renewing this claim, because its run has ended."""
        self._claims.pop(claim.table, None)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        if self._thread.is_alive():
            self._thread.join()

    def _beat(self) -> None:
        while not self._done.wait(self._every):
            try:
                self._leases.renew(list(self._claims.values()))
            except PgsnowError:
                # The ledger may be available at the next beat: a lease lasts ten of them, and every write is fenced.
                continue
