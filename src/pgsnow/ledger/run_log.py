"""sync_logs, and the columns of sync_watermarks that describe the last run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from pgsnow.ledger.claim import Claim
from pgsnow.ledger.json_payload import storable
from pgsnow.ledger.queries import Statements, as_json
from pgsnow.ledger.rows import WatermarkRow
from pgsnow.ledger.rules import log_row
from pgsnow.model.report import SUCCESS, TableReport

PURGE_EVERY = 3600.0
"""Seconds."""
PURGE_AT_ONCE = 20_000
"""Rows a statement, well within the statement timeout."""


class RunLog:
    """Records runs and lists them."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements
        self._purged_at: float | None = None

    def finish(self, runs: Sequence[tuple[Claim, TableReport]]) -> None:
        """Record ended runs in one statement: last_run, last_status, last_error, rows_processed, and a
        sync_logs row each.

        A run that ends HELD, because others load the table, has no outcome: status and error of the run
        before stand. A run that lost its lease gets its sync_logs row and nothing else.
        """
        self._record(runs, only_log=False)

    def note(self, runs: Sequence[tuple[Claim, TableReport]]) -> None:
        """Write a sync_logs row each, and nothing else: for work that is no run, such as `pgsnow apply`."""
        self._record(runs, only_log=True)

    def _record(self, runs: Sequence[tuple[Claim, TableReport]], *, only_log: bool) -> None:
        if runs:
            rows = as_json(storable(log_row(*run)) for run in runs)
            success = [status.value for status in SUCCESS]
            self._statements.rows("finish", runs=rows, success=success, only_log=only_log)

    def watermarks(self) -> list[WatermarkRow]:
        """All tables, by name."""
        return [WatermarkRow(**row) for row in self._statements.rows("watermarks")]

    def logs(self, *, table: str | None = None, limit: int = 20) -> list[dict[str, Any]]:
        """The newest sync_logs rows, newest first."""
        return self._statements.rows("logs", table=table, limit=limit)

    def purge(self, older_than_days: int) -> int:
        """Delete old sync_logs rows, at most once an hour per process. Returns how many."""
        now = time.monotonic()
        if self._purged_at is not None and now - self._purged_at < PURGE_EVERY:
            return 0
        self._purged_at = now
        total = 0
        while True:
            deleted = self._statements.count("purge_logs", days=older_than_days, limit=PURGE_AT_ONCE)
            total += deleted
            if deleted < PURGE_AT_ONCE:
                return total
