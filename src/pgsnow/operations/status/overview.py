"""The overview, the first page a person sees: one word for the whole sync with its reason, the tables worst first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from pgsnow.ledger.ledger import Ledger
from pgsnow.model.config.sync_config import SyncConfig
from pgsnow.model.duration import approximate_duration
from pgsnow.operations.status.overview_table import OverviewTable, RowCounts, StripRun, backfill_of
from pgsnow.operations.status.table_state import GRACE_SECONDS, PATIENCE, HealthState
from pgsnow.operations.status.table_status import TableStatus, table_statuses

STRIP = 20
"""Runs of a table that its line shows."""


class Word(StrEnum):
    """State of the whole sync in one word."""

    FRESH = "fresh"
    """Every table is loaded up to a moment ago."""
    BEHIND = "behind"
    """Nothing failed, but a table's lag is larger than its schedule explains, or rows are missing or differ."""
    FAILING = "failing"
    """A table stopped with an error."""
    STOPPED = "stopped"
    """No worker has run a tick for several intervals."""
    STARTING = "starting"
    """Tables are configured, and some were never loaded; nothing failed."""
    EMPTY = "empty"
    """No run was ever recorded."""


@dataclass(frozen=True, slots=True)
class DayCost:
    """Statements sent to Snowflake in the last 24 hours. warehouse_seconds: of those that need a warehouse. credits:
    estimated. Each is None if it is not recorded."""

    statements: int | None = None
    warehouse_seconds: float | None = None
    credits: float | None = None


@dataclass(frozen=True, slots=True)
class Overview:
    """The whole sync at `now`.

    reason: one sentence that explains the word, and names the table concerned. advice: the next step, "" if none is
    needed. worst_lag_seconds, worst_lag_table: None if no lag is known. last_tick: when a worker last ran a tick.
    next_tick: when the next one is expected; None: unknown, or overdue. interval_seconds: between two ticks.
    day_rows: rows of 24 hours, all tables together. counts: tables by state. tables: worst first.
    """

    now: datetime
    word: Word
    reason: str
    advice: str
    worst_lag_seconds: float | None
    worst_lag_table: str | None
    last_success: datetime | None
    last_tick: datetime | None
    next_tick: datetime | None
    interval_seconds: float
    day: DayCost
    day_rows: RowCounts
    counts: Mapping[HealthState, int]
    tables: tuple[OverviewTable, ...]


def overview_of(config: SyncConfig, ledger: Ledger, now: datetime) -> Overview:
    """The state of all configured tables, from the ledger alone. Raises LedgerUnavailable, LedgerAccessDenied."""
    statuses = table_statuses(config, config.tables, ledger.run_log.watermarks(), now)
    strips = _strips(ledger)
    tables = tuple(
        sorted((_table(config, one, strips.get(one.config.name, ())) for one in statuses), key=_severity)
    )
    last_tick = max((table.last_run for table in tables if table.last_run), default=None)
    word, reason, advice = _judged(tables, last_tick, config.sync_interval_seconds, now)
    lags = [(table.lag_seconds, table.name) for table in tables if table.lag_seconds is not None]
    worst = max(lags, default=(None, None))
    return Overview(
        now=now,
        word=word,
        reason=reason,
        advice=advice,
        worst_lag_seconds=worst[0],
        worst_lag_table=worst[1],
        last_success=max((table.last_success for table in tables if table.last_success), default=None),
        last_tick=last_tick,
        next_tick=_next_tick(last_tick, config.sync_interval_seconds, now),
        interval_seconds=config.sync_interval_seconds,
        day=DayCost(),
        day_rows=RowCounts(),
        counts=Counter(table.state for table in tables),
        tables=tables,
    )


def _severity(table: OverviewTable) -> tuple[int, float, str]:
    return table.severity


def _strips(ledger: Ledger) -> dict[str, tuple[StripRun, ...]]:
    found: dict[str, list[StripRun]] = {}
    for run in ledger.run_log.logs(limit=1000):
        rows = run["rows_inserted"] + run["rows_updated"] + run["rows_deleted"]
        strip = found.setdefault(run["source_table"], [])
        strip.append(StripRun(run["run_id"], run["status"], run["started_at"], run["seconds"], rows))
    return {table: tuple(reversed(strip[:STRIP])) for table, strip in found.items()}


def _table(config: SyncConfig, status: TableStatus, strip: tuple[StripRun, ...]) -> OverviewTable:
    row, table, lag = status.row, status.config, status.lag
    after = PATIENCE * max(config.sync_interval_seconds, table.every) + table.load_every + GRACE_SECONDS
    failed = status.health.state is HealthState.FAILED
    return OverviewTable(
        name=table.name,
        target=(row and row.target_table) or table.target,
        state=status.health.state,
        why=status.why,
        advice="",
        mode=str(table.mode),
        read_mode=row.read_mode if row else None,
        lag_seconds=lag.seconds,
        lag_covers=lag.covers,
        behind=table.enabled and lag.seconds is not None and lag.seconds > after,
        behind_after=after,
        last_run=_utc(row.last_run if row else None),
        last_success=_utc(row.last_success if row else None),
        next_attempt=_utc(row.next_attempt if row else None),
        last_rows=RowCounts(updated=row.rows_processed if row else 0),
        day_rows=RowCounts(),
        strip=strip,
        last_error=row.last_error.splitlines()[0] if failed and row and row.last_error else None,
        consecutive_failures=row.consecutive_failures if row else 0,
        open_rejected=row.open_errors if row else 0,
        differences=0,
        staged_rows=row.staged_rows if row else 0,
        pause=None,
        backfill=backfill_of(status),
    )


def _judged(
    tables: Sequence[OverviewTable], last_tick: datetime | None, interval: float, now: datetime
) -> tuple[Word, str, str]:
    """The word, its reason, and the next step."""
    if last_tick is None:
        return Word.EMPTY, "No run is recorded yet.", "Start a worker and its schedule, or `pgsnow run`."
    silent = (now - last_tick).total_seconds()
    if silent > PATIENCE * interval + GRACE_SECONDS:
        reason = f"No worker has run a tick for {approximate_duration(silent)}."
        return Word.STOPPED, reason, "Start the worker and the schedule (Celery worker and beat)."
    worst = tables[0]
    if worst.state is HealthState.FAILED:
        return Word.FAILING, f"{worst.name}: {worst.last_error}", worst.advice
    if any(table.behind for table in tables):
        table = max((table for table in tables if table.behind), key=lambda one: one.lag_seconds or 0)
        lag = approximate_duration(table.lag_seconds or 0)
        return Word.BEHIND, f"{table.name} is {lag} behind.", table.advice
    if worst.state is HealthState.NEVER:
        return Word.STARTING, f"{worst.name} has not run yet.", ""
    return Word.FRESH, f"All {len(tables)} tables are up to date.", ""


def _next_tick(last: datetime | None, interval: float, now: datetime) -> datetime | None:
    due = None if last is None else last + timedelta(seconds=interval)
    return due if due is not None and due > now else None


def _utc(moment: datetime | None) -> datetime | None:
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)
