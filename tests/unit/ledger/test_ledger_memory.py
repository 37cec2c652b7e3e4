"""The ledger in memory keeps the promises of `Ledger`."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pgsnow.ledger.memory import MemoryLedger
from pgsnow.ledger.memory_shared import Memory
from tests.unit.ledger.conformance import Crew, LedgerConformance


class MemoryCrew:
    def __init__(self) -> None:
        self.memory = Memory()

    def worker(self) -> MemoryLedger:
        return MemoryLedger(memory=self.memory)

    def kill(self, worker: MemoryLedger) -> None:
        worker.lose_session()

    def expire(self, table: str) -> None:
        self.memory.rows[table].expires = self.memory.clock() - timedelta(seconds=1)

    def age_success(self, table: str, seconds: float) -> None:
        self.memory.rows[table].last_success = self.memory.clock() - timedelta(seconds=seconds)

    def pause(self, table: str) -> None:
        self.memory.rows[table].paused = True


class TestMemoryLedger(LedgerConformance):
    @pytest.fixture
    def crew(self) -> Crew:
        return MemoryCrew()
