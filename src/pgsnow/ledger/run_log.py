"""sync_logs, and the columns of sync_watermarks that describe the last run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from operator import itemgetter
from typing import Any

from psycopg.types.json import Jsonb

from pgsnow.ledger.claim import Claim
from pgsnow.ledger.queries import Queries, cut, storable
from pgsnow.ledger.rows import WatermarkRow
from pgsnow.model.config.cost import CLOCK_SLACK, CREDITS_PER_HOUR, CostConfig
from pgsnow.model.report import SUCCESS, TableReport

NO_FACTS = CostConfig()
MOST_STATEMENTS = 200
"""Statements of one run that sync_logs keeps."""
PURGE_EVERY = 3600.0
"""Seconds."""
COLUMNS = itemgetter(*WatermarkRow._fields)
PURGE_AT_ONCE = 20_000
"""Rows per statement, well within the statement timeout."""


class RunLog:
    """Records runs and lists them."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries
        self._purged_at: float | None = None

    def finish(
        self,
        runs: Sequence[tuple[Claim, TableReport]],
        *,
        cost: CostConfig = NO_FACTS,
        warehouse: str = "",
    ) -> dict[str, float]:
        """Record ended runs in one statement: last_run, last_status, last_error, rows_processed, and a
        sync_logs row each.

        A run that ends LOCKED, because others load the table, has no outcome: the status and error of the
        previous run are kept. A run that lost its lease gets its sync_logs row and nothing else. cost, warehouse: what
        the credits of their statements are estimated with. Returns the credits by table, of runs that still hold their
        lease.
        """
        if not runs:
            return {}
        rows = self._queries.execute("record_runs", **_records(runs, cost, warehouse), only_log=False)
        return {row["source_table"]: row["credits"] for row in rows}

    def note(
        self, runs: Sequence[tuple[Claim, TableReport]], *, cost: CostConfig = NO_FACTS, warehouse: str = ""
    ) -> None:
        """Write a sync_logs row each, and nothing else: for work that is no run, such as `pgsnow apply`."""
        if runs:
            self._queries.execute("record_runs", **_records(runs, cost, warehouse), only_log=True)

    def try_again(self, claim: Claim) -> None:
        """Let the next tick try the table, however often it has failed. Raises LeaseLost."""
        self._queries.fenced("try_again", claim)

    def watermarks(self, table: str | None = None) -> list[WatermarkRow]:
        """All tables, by name, or one of them."""
        rows = self._queries.execute("watermarks", table=table).fetchall()
        return [WatermarkRow._make(COLUMNS(row)) for row in rows]

    def logs(self, *, table: str | None = None, limit: int = 20) -> list[dict[str, Any]]:
        """The newest sync_logs rows, newest first, without their statements."""
        return self._queries.execute("logs", table=table, limit=limit).fetchall()

    def last_tick_seconds(self) -> float | None:
        """Duration of the newest tick, from the first start to the last end of its runs; None: there was none."""
        [row] = self._queries.execute("last_tick_seconds")
        seconds: float | None = row["seconds"]
        return seconds

    def warehouses(self) -> list[dict[str, Any]]:
        """How long runs have kept each warehouse awake, by name."""
        return self._queries.execute("warehouses").fetchall()

    def purge(self, older_than_days: int) -> int | None:
        """Delete old sync_logs rows, at most once an hour per process. Returns how many; None: not now."""
        now = time.monotonic()
        if self._purged_at is not None and now - self._purged_at < PURGE_EVERY:
            return None
        self._purged_at = now
        total = 0
        while True:
            deleted = self._queries.execute("purge_logs", days=older_than_days, limit=PURGE_AT_ONCE).rowcount
            total += deleted
            if deleted < PURGE_AT_ONCE:
                return total


def _records(runs: Sequence[tuple[Claim, TableReport]], cost: CostConfig, warehouse: str) -> dict[str, Any]:
    """Parameters of `record_runs`."""
    return {
        "runs": Jsonb([storable(_log_row(claim, report, cost)) for claim, report in runs]),
        "success": [status.value for status in SUCCESS],
        "warehouse": warehouse,
        "longest_idle": cost.auto_suspend_seconds + cost.suspend_lag_seconds + CLOCK_SLACK,
        "credits_per_second": (cost.credits_per_hour or CREDITS_PER_HOUR[cost.warehouse_size]) / 3600,
    }


def _log_row(claim: Claim, report: TableReport, cost: CostConfig) -> dict[str, Any]:
    """A row of sync_logs by column name, and the use of the warehouse. Long texts and lists are cut."""
    sent = report.statements
    used = report.warehouse_use(cost.auto_suspend_seconds + cost.suspend_lag_seconds) if sent else None
    kept = (
        sent if len(sent) <= MOST_STATEMENTS else sent[: MOST_STATEMENTS // 2] + sent[-MOST_STATEMENTS // 2 :]
    )
    return {
        "statements": [asdict(one) | {"started_at": one.started_at.isoformat()} for one in kept] or None,
        "statement_count": report.statement_count,
        "logins": report.logins,
        "warehouse_seconds": report.warehouse_seconds,
        "awake_from": used and used.since.isoformat(),
        "awake_until": used and used.until.isoformat(),
        "awake_seconds": used and used.awake_seconds,
        "without_log": report.without_log and cut(report.without_log),
        "run_id": claim.run_id,
        "source_table": claim.table,
        "target_table": report.target,
        "started_at": report.started_at,
        "ended_at": report.started_at + timedelta(seconds=report.seconds),
        "seconds": report.seconds,
        "phases": dict(report.phases),
        "rows_read": report.rows_read,
        "rows_rejected": report.rows_rejected,
        "rows_dropped": report.rows_dropped,
        "rows_inserted": report.rows_inserted,
        "rows_updated": report.rows_updated,
        "rows_deleted": report.rows_deleted,
        "ranges_compared": report.ranges_compared,
        "sweep_seconds": round(report.sweep_seconds, 6),
        "bytes_staged": report.bytes_staged,
        "load_units": report.load_units,
        "query_ids": list(report.query_ids),
        "status": report.status.value,
        "full_read": cut(report.full_read),
        "events": [cut(event) for event in report.events],
        "error": cut(report.error),
        "error_type": report.error_type,
        "advice": cut(report.advice),
        "last_watermark": report.last_watermark,
        "fence": claim.fence,
        "retry_seconds": report.retry_seconds,
        "lasting_failures": report.lasting_failures,
        "failed_entry": report.failed_entry,
        "requested_by": claim.asked_by,
    }
