"""The metrics of one scrape, from the configuration and the ledger alone: neither the source nor Snowflake is asked.

Nothing is kept between scrapes, so every process and every replica shows the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from pgsnow import __version__
from pgsnow.integrations.prometheus.exposition import Exposition, label
from pgsnow.ledger.errors import unless_missing
from pgsnow.ledger.history.rows import CounterRow
from pgsnow.ledger.history.ticks import TickRow
from pgsnow.ledger.ledger import Ledger
from pgsnow.ledger.requests.requests import Request
from pgsnow.ledger.rows import WatermarkRow
from pgsnow.model.config.sync_config import SyncConfig
from pgsnow.model.report import SUCCESS, Status
from pgsnow.operations.status.budget import budget_of
from pgsnow.operations.status.log import LogHealth, log_of
from pgsnow.operations.status.overview_table import OverviewTable, table_line
from pgsnow.operations.status.table_state import GRACE_SECONDS, PATIENCE, HealthState
from pgsnow.operations.status.table_status import TableStatus, table_statuses
from pgsnow.operations.status.verdict import Word, verdict_of


def metrics_text(config: SyncConfig, ledger: Ledger, now: datetime) -> str:
    """The metrics as Prometheus reads them; before the first run too, when the ledger has no tables yet. Raises
    LedgerUnavailable, LedgerAccessDenied."""
    rows = unless_missing(ledger.run_log.watermarks, list[WatermarkRow]())
    budget = budget_of(config, ledger, now)
    statuses = table_statuses(config, config.tables, rows, now, budget)
    lines = [table_line(config, status, None) for status in statuses]
    page = _begun(config_valid=True, ledger_up=True)
    _add_plan(page, [status.row for status in statuses if status.row is not None], ledger)
    _add_whole(page, config, ledger, lines, now)
    for status, line in zip(statuses, lines, strict=True):
        _add_table(page, status, line, now)
    configured = {table.name for table in config.tables}
    for row in unless_missing(ledger.history.counters, list[CounterRow]()):
        if row.source_table in configured:
            _add_counters(page, row)
    _add_warehouses(page, ledger, config)
    if (log := log_of(config, ledger)) is not None:
        _add_log(page, log)
    if budget is not None:
        page.add("pgsnow_budget_credits", budget.limit)
        page.add("pgsnow_budget_spent_credits", budget.spent)
        page.add("pgsnow_budget_forecast_credits", budget.forecast)
        page.add("pgsnow_budget_conflict", int(bool(budget.conflict)))
    return page.text()


def text_without_ledger(*, config_valid: bool) -> str:
    """The metrics of a scrape for which the ledger could not be read, or of a configuration that cannot be used."""
    return _begun(config_valid=config_valid, ledger_up=False).text()


def _begun(*, config_valid: bool, ledger_up: bool) -> Exposition:
    page = Exposition()
    page.add("pgsnow_build_info", 1, label("version", __version__))
    page.add("pgsnow_config_valid", int(config_valid))
    page.add("pgsnow_ledger_up", int(ledger_up))
    return page


def _add_plan(page: Exposition, ran: Sequence[WatermarkRow], ledger: Ledger) -> None:
    page.add("sync_success_count", sum(row.last_status in SUCCESS for row in ran))
    page.add("sync_failure_count", sum(row.last_status == Status.ERROR for row in ran))
    page.add("last_sync_duration_seconds", unless_missing(ledger.run_log.last_tick_seconds, None))
    for row in ran:
        page.add("rows_processed", row.rows_processed, label("table", row.source_table))


def _add_whole(
    page: Exposition, config: SyncConfig, ledger: Ledger, lines: Sequence[OverviewTable], now: datetime
) -> None:
    interval = config.sync_interval_seconds
    ticks = unless_missing(ledger.ticks.seen, list[TickRow]())
    last_tick = max((tick.at for tick in ticks), default=None)
    last_run = max((line.last_run for line in lines if line.last_run), default=None)
    worst_first = sorted(lines, key=lambda line: line.severity)
    word = verdict_of(worst_first, last_tick or last_run, interval, now).word
    for each in Word:
        page.add("pgsnow_sync_state", int(each is word), label("state", each))
    page.add("pgsnow_sync_interval_seconds", interval)
    page.add("pgsnow_last_tick_timestamp_seconds", _stamp(last_tick or last_run))
    recent = PATIENCE * interval + GRACE_SECONDS
    page.add("pgsnow_workers", len({tick.holder for tick in ticks if tick.age_seconds <= recent}))
    counts = Counter(line.state for line in lines)
    for state in HealthState:
        page.add("pgsnow_tables", counts[state], label("state", state))
    page.add("pgsnow_requests_open", len(unless_missing(ledger.requests.open, list[Request]())))


def _add_table(page: Exposition, status: TableStatus, line: OverviewTable, now: datetime) -> None:
    """Gauges of one table. A table that is paused or disabled is not expected to be fresh, so it has no
    limit."""
    table = label("table", line.name)
    target = f"{table},{label('target', line.target)},{label('mode', line.mode)}"
    page.add("pgsnow_table_info", 1, target)
    page.add("pgsnow_table_state", 1, f"{table},{label('state', line.state)}")
    page.add("pgsnow_freshness_seconds", line.lag_seconds, table)
    page.add("pgsnow_freshness_limit_seconds", line.behind_after if line.counts else None, table)
    page.add("pgsnow_read_freshness_seconds", status.lag.read_seconds, table)
    page.add("pgsnow_last_run_timestamp_seconds", _stamp(line.last_run), table)
    page.add("pgsnow_last_success_timestamp_seconds", _stamp(line.last_success), table)
    page.add("pgsnow_next_attempt_timestamp_seconds", _stamp(line.next_attempt), table)
    page.add("pgsnow_consecutive_failures", line.consecutive_failures, table)
    page.add("pgsnow_rejected_rows_open", line.open_rejected, table)
    page.add("pgsnow_staged_rows", line.staged_rows, table)
    page.add("pgsnow_slowed_load_seconds", status.pace.load_every if status.pace else None, table)
    page.add("pgsnow_verify_differences", line.differences, table)
    page.add("pgsnow_verify_age_seconds", _age(line.verified_at, now), table)
    if line.backfill is not None:
        page.add("pgsnow_backfill_chunks", line.backfill.chunks, table)
        page.add("pgsnow_backfill_chunks_left", line.backfill.chunks - line.backfill.done, table)
    if (row := status.row) is not None:
        page.add("pgsnow_rejected_rows_stale", row.stale_rows, table)
        page.add("pgsnow_staged_bytes", row.staged_bytes, table)
        page.add("pgsnow_lease_age_seconds", row.lease_age, table)
        page.add("pgsnow_deletes_pending_seconds", _age(status.deletes_pending_since, now), table)


def _add_counters(page: Exposition, row: CounterRow) -> None:
    """Totals of one table since its first run."""
    table, totals = label("table", row.source_table), row.totals
    for status, count in sorted(totals.runs.items()):
        page.add("pgsnow_runs_total", count, f"{table},{label('status', status)}")
    page.add("pgsnow_run_seconds_total", totals.seconds, table)
    for phase, seconds in sorted(totals.phases.items()):
        page.add("pgsnow_run_phase_seconds_total", seconds, f"{table},{label('phase', phase)}")
    page.add("pgsnow_rows_read_total", totals.rows_read, table)
    for operation in ("inserted", "updated", "deleted", "rejected"):
        page.add(
            "pgsnow_rows_total", getattr(totals, f"rows_{operation}"), f'{table},operation="{operation}"'
        )
    page.add("pgsnow_uploaded_bytes_total", totals.bytes_staged, table)
    page.add("pgsnow_statements_total", totals.statements, table)
    page.add("pgsnow_warehouse_seconds_total", totals.warehouse_seconds, table)
    page.add("pgsnow_credits_total", totals.credits, table)


def _add_log(page: Exposition, log: LogHealth) -> None:
    slot = label("slot", log.slot)
    page.add("pgsnow_log_up", int(not log.trouble), slot)
    page.add("pgsnow_log_retained_bytes", log.retained, slot)
    page.add("pgsnow_log_retained_limit_bytes", log.limit, slot)
    page.add("pgsnow_log_safe_bytes", log.safe, slot)
    page.add("pgsnow_log_spilled_bytes_total", log.spilled, slot)
    page.add("pgsnow_log_confirmed_bytes", log.confirmed, slot)
    page.add("pgsnow_log_newest_commit_timestamp_seconds", _stamp(log.newest_commit), slot)
    page.add("pgsnow_log_generation", log.generation, slot)


def _add_warehouses(page: Exposition, ledger: Ledger, config: SyncConfig) -> None:
    rows: Iterable[dict[str, float]] = unless_missing(ledger.run_log.warehouses, [])
    for row in rows:
        warehouse = label("warehouse", row["warehouse"])
        page.add("pgsnow_warehouse_resumes_total", row["resumes"], warehouse)
        page.add("pgsnow_warehouse_awake_seconds_total", row["awake_seconds"], warehouse)
        page.add("pgsnow_warehouse_credits_total", row["credits"], warehouse)
    page.add("pgsnow_credit_price", config.cost.credit_price)


def _stamp(moment: datetime | None) -> float | None:
    return None if moment is None else (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _age(moment: datetime | None, now: datetime) -> float | None:
    return None if moment is None else max(0.0, now.timestamp() - (_stamp(moment) or 0.0))
