"""The state of the ledger in memory, whoever works with it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from typing import Any

from pgsnow.ledger.memory_row import MemoryRow
from pgsnow.ledger.store import ErrorRow
from pgsnow.ledger.values import key_digest
from pgsnow.model.checkpoint import VirtualXids


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Memory:
    """What several MemoryLedgers share, as several PostgresLedgers share a schema."""

    clock: Callable[[], datetime] = _utc_now
    lock: threading.RLock = field(default_factory=threading.RLock)
    rows: dict[str, MemoryRow] = field(default_factory=dict)
    errors: dict[int, ErrorRow] = field(default_factory=dict)
    logs: list[dict[str, Any]] = field(default_factory=list)
    listings: dict[str, VirtualXids] = field(default_factory=dict)
    ids: count[int] = field(default_factory=lambda: count(1))

    def open_errors(self, table: str) -> dict[str, ErrorRow]:
        """Open errors of a table by key digest, oldest first."""
        return {
            key_digest(error.key): error
            for _, error in sorted(self.errors.items())
            if error.source_table == table and error.state == "open"
        }

    def close_errors(self, ids: Sequence[int], state: str) -> int:
        now = self.clock()
        for number in ids:
            self.errors[number] = replace(self.errors[number], state=state, updated_at=now)
        return len(ids)
