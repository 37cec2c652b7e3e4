"""The log of runs, in the ledger in memory."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from pgsnow.ledger.memory_worker import MemoryWorker
from pgsnow.ledger.runs import PURGE_EVERY
from pgsnow.ledger.store import Claim, WatermarkRow
from pgsnow.ledger.values import log_row
from pgsnow.model.report import TableReport


class MemoryRuns(MemoryWorker):
    """How each run ended."""

    _purged_at: float | None = None

    def finish(self, runs: Sequence[tuple[Claim, TableReport]]) -> None:
        with self.memory.lock:
            for claim, report in self._log(runs):
                row = self.memory.rows.get(claim.table)
                if row is not None and row.fence == claim.fence:
                    row.finish(report)

    def note(self, runs: Sequence[tuple[Claim, TableReport]]) -> None:
        with self.memory.lock:
            self._log(runs)

    def watermarks(self) -> list[WatermarkRow]:
        with self.memory.lock:
            now = self.memory.clock()
            return [
                row.shown(table, now, len(self.memory.open_errors(table)))
                for table, row in sorted(self.memory.rows.items())
            ]

    def logs(self, *, table: str | None = None, limit: int = 20) -> list[dict[str, Any]]:
        with self.memory.lock:
            found = [dict(log) for log in self.memory.logs if table in (None, log["source_table"])]
        found.sort(key=lambda log: log["source_table"])
        return sorted(found, key=lambda log: (log["started_at"], log["run_id"]), reverse=True)[:limit]

    def purge_logs(self, older_than_days: int) -> int:
        now = time.monotonic()
        if self._purged_at is not None and now - self._purged_at < PURGE_EVERY:
            return 0
        self._purged_at = now
        with self.memory.lock:
            oldest = self.memory.clock() - timedelta(days=older_than_days)
            before = len(self.memory.logs)
            self.memory.logs[:] = [log for log in self.memory.logs if log["started_at"] >= oldest]
            return before - len(self.memory.logs)

    def _log(self, runs: Sequence[tuple[Claim, TableReport]]) -> list[tuple[Claim, TableReport]]:
        """Those that were not logged before."""
        logged = {(log["run_id"], log["source_table"]) for log in self.memory.logs}
        new = [run for run in runs if (run[0].run_id, run[0].table) not in logged]
        self.memory.logs.extend(log_row(*run) for run in new)
        return new
