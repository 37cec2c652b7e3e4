"""One run of one table: its phases, its statements, its rows, its error with the advice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pgsnow.ledger.ledger import Ledger
from pgsnow.operations.status.overview_table import RowCounts


@dataclass(frozen=True, slots=True)
class Phase:
    """Seconds of one phase, and its share of the run, from 0 to 1."""

    name: str
    seconds: float
    share: float


@dataclass(frozen=True, slots=True)
class RunStatement:
    """A statement that the run sent to Snowflake. kind: its first word. query_id: None if it is not shown, or had
    none. seconds, rows: None if they are not recorded."""

    kind: str
    query_id: str | None
    seconds: float | None
    rows: int | None


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One row of sync_logs. seconds: of the whole run. rows: by operation. statements: their number, None if not
    recorded; credits: estimated, None if not recorded. requested_by: schedule, command or request; None: unknown."""

    run_id: str
    table: str
    target: str
    status: str
    started_at: datetime
    ended_at: datetime
    seconds: float
    rows: RowCounts
    rows_read: int
    bytes_staged: int
    load_units: int
    full_read: str | None
    events: tuple[str, ...]
    error: str | None
    error_type: str | None
    advice: str | None
    phases: tuple[Phase, ...]
    query_ids: tuple[str, ...]
    statements: int | None = None
    warehouse_seconds: float | None = None
    credits: float | None = None
    lag_seconds: float | None = None
    requested_by: str | None = None


@dataclass(frozen=True, slots=True)
class RunDetail:
    """A run with its statements, in the order in which they were sent. other_tables: of the same tick, by name."""

    run: RunSummary
    statements: tuple[RunStatement, ...]
    last_watermark: str | None


def run_summary(log: Mapping[str, Any]) -> RunSummary:
    """log: a row of RunLog.logs."""
    seconds = log["seconds"]
    phases = sorted((log["phases"] or {}).items(), key=lambda item: -item[1])
    counts = RowCounts(log["rows_inserted"], log["rows_updated"], log["rows_deleted"], log["rows_rejected"])
    return RunSummary(
        run_id=log["run_id"],
        table=log["source_table"],
        target=log["target_table"] or "",
        status=log["status"],
        started_at=log["started_at"],
        ended_at=log["ended_at"],
        seconds=seconds,
        rows=counts,
        rows_read=log["rows_read"],
        bytes_staged=log["bytes_staged"],
        load_units=log["load_units"],
        full_read=log["full_read"],
        events=tuple(log["events"]),
        error=log["error"],
        error_type=log["error_type"],
        advice=log["advice"],
        phases=tuple(
            Phase(name, spent, min(spent / seconds, 1.0) if seconds else 0.0) for name, spent in phases
        ),
        query_ids=tuple(log["query_ids"]),
    )


def run_detail(ledger: Ledger, run_id: str, table: str) -> RunDetail | None:
    """The run of one table in one tick; None: it is not recorded, or no longer kept."""
    found = [log for log in ledger.run_log.logs(table=table, limit=1000) if log["run_id"] == run_id]
    if not found:
        return None
    summary = run_summary(found[0])
    statements = tuple(RunStatement("", query_id, None, None) for query_id in summary.query_ids)
    return RunDetail(summary, statements, found[0]["last_watermark"])
