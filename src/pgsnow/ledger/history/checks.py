"""sync_checks: the latest result of `pgsnow check`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from pgsnow import __version__
from pgsnow.ledger.queries import Queries, storable


@dataclass(frozen=True, slots=True)
class SavedCheck:
    """The latest result of `pgsnow check`."""

    at: datetime
    holder: str
    """`host:pid` of the command."""
    version: str
    """Its version of pgsnow."""
    results: tuple[dict[str, Any], ...]
    """As `pgsnow check --output json` prints them, without secrets."""


@dataclass(frozen=True, slots=True)
class Checks:
    """Saves and returns the latest check."""

    queries: Queries

    def save(self, results: Sequence[dict[str, Any]], holder: str) -> None:
        """Replace the saved result. results: without secrets."""
        stored = Jsonb([storable(result) for result in results])
        self.queries.execute("save_check", holder=holder, version=__version__, results=stored)

    def latest(self) -> SavedCheck | None:
        """The saved result; None: `pgsnow check` never ran with this ledger."""
        row = self.queries.execute("latest_check").fetchone()
        if row is None or not isinstance(row["results"], list):
            return None
        return SavedCheck(row["at"], row["holder"], row["version"], tuple(row["results"]))
