"""One run of one table: its phases, its statements, its rows, its error with the advice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pgsnow.ledger.history.rows import Cursor, RunRow
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
    """A statement that the run sent to Snowflake. kind: its first word, "" if it is not recorded. query_id: None if it
    is not shown, or had none. seconds, rows: None if they are not recorded."""

    kind: str
    query_id: str | None
    seconds: float | None
    rows: int | None


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One row of sync_logs. seconds: of the whole run. rows: by operation. phases: longest first. statements: their
    number; credits: estimated. lag_seconds: after the run, None if unknown. requested_by: `schedule`, `command` or a
    request; None: unknown. cursor: its position in a list of runs."""

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
    statements: int
    warehouse_seconds: float
    credits: float
    lag_seconds: float | None
    requested_by: str | None
    cursor: Cursor


@dataclass(frozen=True, slots=True)
class RunDetail:
    """A run with its statements, in the order in which they were sent. last_watermark: the largest that it loaded."""

    run: RunSummary
    statements: tuple[RunStatement, ...]
    last_watermark: str | None


def run_summary(run: RunRow) -> RunSummary:
    """The run as pages and API show it."""
    phases = sorted(run.phases.items(), key=lambda item: -item[1])
    return RunSummary(
        run_id=run.run_id,
        table=run.source_table,
        target=run.target_table or "",
        status=run.status,
        started_at=run.started_at,
        ended_at=run.ended_at,
        seconds=run.seconds,
        rows=RowCounts(run.rows_inserted, run.rows_updated, run.rows_deleted, run.rows_rejected),
        rows_read=run.rows_read,
        bytes_staged=run.bytes_staged,
        load_units=run.load_units,
        full_read=run.full_read,
        events=run.events,
        error=run.error,
        error_type=run.error_type,
        advice=run.advice,
        phases=tuple(Phase(name, spent, _share(spent, run.seconds)) for name, spent in phases),
        query_ids=run.query_ids,
        statements=run.statement_count,
        warehouse_seconds=run.warehouse_seconds,
        credits=run.credits,
        lag_seconds=run.lag_seconds,
        requested_by=run.requested_by,
        cursor=run.cursor,
    )


def run_detail(ledger: Ledger, run_id: str, table: str) -> RunDetail | None:
    """The run of one table in one tick; None: it is not recorded, or no longer kept."""
    run = ledger.history.run(run_id, table)
    if run is None:
        return None
    recorded = [_statement(statement) for statement in run.statements]
    unnamed = [RunStatement("", query_id, None, None) for query_id in run.query_ids]
    return RunDetail(run_summary(run), tuple(recorded or unnamed), run.last_watermark)


def _statement(stored: Mapping[str, Any]) -> RunStatement:
    """stored: an element of sync_logs.statements; what is missing in it is not known."""
    seconds, rows = stored.get("seconds"), stored.get("rows")
    return RunStatement(
        str(stored.get("kind") or ""),
        stored.get("query_id"),
        None if seconds is None else float(seconds),
        None if rows is None else int(rows),
    )


def _share(part: float, whole: float) -> float:
    return min(part / whole, 1.0) if whole > 0 else 0.0
