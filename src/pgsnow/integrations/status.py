"""What the ledger knows, as plain JSON: one word for everything, then table by table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pgsnow.ledger.store import RunLog, WatermarkRow
from pgsnow.model.config import SyncConfig, TableConfig
from pgsnow.model.report import SUCCESS, Status
from pgsnow.sync.state import Standing, State, standing_of

ALARMS = (State.STUCK, State.FAILED, State.PARTIAL, State.NEVER)
"""The word for all tables is the first of these that any table is in; `ok` if none is."""
RUNS = 20


@dataclass(frozen=True, slots=True)
class _Table:
    config: TableConfig
    row: WatermarkRow | None
    standing: Standing

    def to_json(self) -> dict[str, Any]:
        row = self.row
        return {
            "table": self.config.name,
            "target": (row and row.target_table) or self.config.target,
            "state": str(self.standing.state),
            "why": self.standing.why,
            "lag_seconds": row and row.lag_seconds,
            "read_lag_seconds": row and row.read_lag_seconds,
            "staged_rows": row.staged_rows if row else 0,
            "staged_bytes": row.staged_bytes if row else 0,
            "last_run": row and _text(row.last_run),
            "last_success": row and _text(row.last_success),
            "last_status": row and row.last_status,
            "last_error": row and row.last_error,
            "last_watermark": row and row.last_watermark,
            "rows_processed": row.rows_processed if row else 0,
            "open_errors": row.open_errors if row else 0,
            "read_mode": row and row.read_mode,
            "lease_holder": row and row.lease_holder,
            "chunks": row and row.chunks,
            "chunks_done": row and row.chunks_done,
        }


def status_of(config: SyncConfig, ledger: RunLog, now: datetime) -> dict[str, Any]:
    """The state of every configured table, the plan's metrics, and the newest runs. Reads only the ledger.

    Raises LedgerUnavailable, LedgerAccessDenied.
    """
    tables = _tables(config, ledger.watermarks(), now)
    ran = [table.row for table in tables if table.row is not None]
    logs = ledger.logs(limit=max(RUNS, len(tables)))
    return {
        "state": _word(tables),
        "worst_lag_seconds": max((r.lag_seconds for r in ran if r.lag_seconds is not None), default=None),
        "last_success": _text(max((_utc(r.last_success) for r in ran if r.last_success), default=None)),
        "interval_seconds": config.sync_interval_seconds,
        "metrics": _metrics(ran, logs),
        "tables": [table.to_json() for table in tables],
        "runs": [{name: _plain(value) for name, value in run.items()} for run in logs[:RUNS]],
    }


def _tables(config: SyncConfig, rows: Sequence[WatermarkRow], now: datetime) -> list[_Table]:
    by_name = {row.source_table: row for row in rows}
    interval = config.sync_interval_seconds
    return [
        _Table(table, row, standing_of(row, interval=interval, now=now, enabled=table.enabled))
        for table in config.tables
        for row in [by_name.get(table.name)]
    ]


def _word(tables: Sequence[_Table]) -> str:
    states = {table.standing.state for table in tables}
    return next((str(alarm) for alarm in ALARMS if alarm in states), "ok")


def _metrics(rows: Sequence[WatermarkRow], logs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of each table's last run; the duration is that of the newest tick in the run log, in seconds."""
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


def _plain(value: Any) -> Any:
    return _text(value) if isinstance(value, datetime) else value
