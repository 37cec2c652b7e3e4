"""Status document of the sync, as plain JSON from the ledger: one state for all, then table by table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pgsnow.ledger.ledger import Ledger
from pgsnow.ledger.rows import WatermarkRow
from pgsnow.model.config.sync_config import SyncConfig
from pgsnow.model.report import SUCCESS, Status
from pgsnow.operations.status.budget import budget_of
from pgsnow.operations.status.log import log_of
from pgsnow.operations.status.table_state import HealthState
from pgsnow.operations.status.table_status import TableStatus, table_statuses

ALARMS = (
    HealthState.STUCK,
    HealthState.FAILED,
    HealthState.DIFFERENT,
    HealthState.UNVERIFIED,
    HealthState.PARTIAL,
    HealthState.NEVER,
)
"""The state of all is the first of these that any table is in; `ok` if none is."""
RUNS = 20


def status_of(config: SyncConfig, ledger: Ledger, now: datetime) -> dict[str, Any]:
    """The state of every configured table, the plan's metrics, and the newest runs. Reads only the ledger.

    Raises LedgerUnavailable, LedgerAccessDenied.
    """
    budget = budget_of(config, ledger, now)
    tables = table_statuses(config, config.tables, ledger.run_log.watermarks(), now, budget)
    ran = [table.row for table in tables if table.row is not None]
    logs = ledger.run_log.logs(limit=max(RUNS, len(tables)))
    return {
        "state": _word(tables),
        "worst_lag_seconds": max((lag for t in tables if (lag := t.lag.seconds) is not None), default=None),
        "last_success": _text(max((_utc(r.last_success) for r in ran if r.last_success), default=None)),
        "interval_seconds": config.sync_interval_seconds,
        "log": _json(log.record()) if (log := log_of(config, ledger)) else None,
        "metrics": _metrics(ran, logs),
        "tables": [_json(table.record()) for table in tables],
        "runs": [_json(run) for run in logs[:RUNS]],
    }


def _word(tables: Sequence[TableStatus]) -> str:
    states = {table.health.state for table in tables}
    return next((str(alarm) for alarm in ALARMS if alarm in states), "ok")


def _metrics(rows: Sequence[WatermarkRow], logs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Metrics of each table's last run; the duration is that of the newest tick in the run log, in
    seconds."""
    return {
        "sync_success_count": sum(row.last_status in SUCCESS for row in rows),
        "sync_failure_count": sum(row.last_status == Status.ERROR for row in rows),
        "last_sync_duration_seconds": _duration(logs),
        "rows_processed": {row.source_table: row.rows_processed for row in rows},
    }


def _duration(logs: Sequence[dict[str, Any]]) -> float | None:
    """From the first start to the last end of the runs that share the newest run's tick."""
    if not logs:
        return None
    tick = [run for run in logs if run["run_id"] == logs[0]["run_id"]]
    ended = max(run["started_at"] + timedelta(seconds=run["seconds"]) for run in tick)
    began = min(run["started_at"] for run in tick)
    seconds: float = (ended - began).total_seconds()
    return round(seconds, 3)


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else _utc(moment).isoformat()


def _json(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _text(value) if isinstance(value, datetime) else value for name, value in record.items()}
