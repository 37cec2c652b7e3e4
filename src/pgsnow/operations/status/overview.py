"""The overview, the first page a person sees: one word for the whole sync with its reason, the tables worst first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pgsnow.ledger.errors import unless_missing
from pgsnow.ledger.history.rows import HistoryRow
from pgsnow.ledger.history.ticks import TickRow
from pgsnow.ledger.ledger import Ledger
from pgsnow.ledger.requests.requests import Request
from pgsnow.ledger.rows import WatermarkRow
from pgsnow.model.config.sync_config import SyncConfig
from pgsnow.operations.status.budget import BudgetState, budget_of
from pgsnow.operations.status.log import LogHealth, log_of
from pgsnow.operations.status.overview_table import OverviewTable, RowCounts, table_line
from pgsnow.operations.status.table_state import HealthState
from pgsnow.operations.status.table_status import table_statuses
from pgsnow.operations.status.verdict import SyncVerdict, Word, verdict_of

__all__ = ["DayCost", "Overview", "Word", "overview_of"]


@dataclass(frozen=True, slots=True)
class DayCost:
    """Statements sent to Snowflake in the last 24 hours. warehouse_seconds: of those that need a warehouse. credits:
    estimated. Each is None if no run is recorded."""

    statements: int | None = None
    warehouse_seconds: float | None = None
    credits: float | None = None


@dataclass(frozen=True, slots=True)
class Overview:
    """The whole sync at `now`.

    reason: one sentence that explains the word, and names the table concerned. advice: the next step, "" if none is
    needed. worst_lag_seconds, worst_lag_table: of the tables that are neither paused nor disabled; None if no lag is
    known. last_tick: when a worker last began a tick. next_tick: when the next one is expected; None: unknown, or
    overdue. interval_seconds: between two ticks. day_rows: rows of 24 hours, all tables together. counts: tables by
    state. tables: worst first. requests: actions that have not ended yet. budget: today's; None: none is configured.
    log: the log's state; None: no table is read from it.
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
    requests: tuple[Request, ...] = ()
    budget: BudgetState | None = None
    log: LogHealth | None = None


def overview_of(config: SyncConfig, ledger: Ledger, now: datetime) -> Overview:
    """The state of all configured tables, from the ledger alone; before the first run too, when it has no tables yet.
    Raises LedgerUnavailable, LedgerAccessDenied."""
    history = {row.source_table: row for row in unless_missing(ledger.history.overview, list[HistoryRow]())}
    rows, budget = (
        unless_missing(ledger.run_log.watermarks, list[WatermarkRow]()),
        budget_of(config, ledger, now),
    )
    statuses = table_statuses(config, config.tables, rows, now, budget)
    lines = (table_line(config, one, history.get(one.config.name)) for one in statuses)
    tables = tuple(sorted(lines, key=lambda table: table.severity))
    last_tick = _last_tick(ledger, tables)
    verdict = verdict_of(tables, last_tick, config.sync_interval_seconds, now)
    worst = max(
        (
            (table.lag_seconds, table.name)
            for table in tables
            if table.lag_seconds is not None and table.counts
        ),
        default=(None, None),
    )
    return Overview(
        now=now,
        word=verdict.word,
        reason=verdict.reason,
        advice=_advice(ledger, verdict, tables),
        worst_lag_seconds=worst[0],
        worst_lag_table=worst[1],
        last_success=max((table.last_success for table in tables if table.last_success), default=None),
        last_tick=last_tick,
        next_tick=_next_tick(last_tick, config.sync_interval_seconds, now),
        interval_seconds=config.sync_interval_seconds,
        day=_cost(history.values()),
        day_rows=_sum([table.day_rows for table in tables]),
        counts=Counter(table.state for table in tables),
        tables=tables,
        requests=tuple(unless_missing(ledger.requests.open, list[Request]())),
        budget=budget,
        log=log_of(config, ledger),
    )


def _last_tick(ledger: Ledger, tables: Sequence[OverviewTable]) -> datetime | None:
    """The newest tick of a worker. A run proves one, too: workers of an earlier version note no ticks."""
    moments = [tick.at for tick in unless_missing(ledger.ticks.seen, list[TickRow]())[:1]]
    moments += [table.last_run for table in tables if table.last_run]
    return max(moments, default=None)


def _next_tick(last: datetime | None, interval: float, now: datetime) -> datetime | None:
    due = None if last is None else last + timedelta(seconds=interval)
    return due if due is not None and due > now else None


def _advice(ledger: Ledger, verdict: SyncVerdict, tables: Sequence[OverviewTable]) -> str:
    """The advice of the failed table's error, as its run has recorded it, else the verdict's own."""
    table = next((table for table in tables if table.name == verdict.table), None)
    if table is None or table.state is not HealthState.FAILED:
        return verdict.advice
    failed = ledger.history.runs(table=table.name, status="error", limit=1)
    return (failed[0].advice if failed else None) or verdict.advice


def _cost(rows: Iterable[HistoryRow]) -> DayCost:
    days = [row.day for row in rows]
    if not days:
        return DayCost()
    return DayCost(
        sum(day.statements for day in days),
        sum(day.warehouse_seconds for day in days),
        sum(day.credits for day in days),
    )


def _sum(counts: Sequence[RowCounts]) -> RowCounts:
    return RowCounts(
        sum(one.inserted for one in counts),
        sum(one.updated for one in counts),
        sum(one.deleted for one in counts),
        sum(one.rejected for one in counts),
    )
