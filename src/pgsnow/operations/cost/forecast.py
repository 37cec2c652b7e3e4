"""Credits of an average day with this configuration, by table, and with other settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pgsnow.ledger.ledger import Ledger
from pgsnow.model.config.cost import CostConfig
from pgsnow.model.config.sync_config import SyncConfig, TableConfig, TableMode
from pgsnow.model.config.table_config import LoadMethod
from pgsnow.model.cost.bill import Bill, replaced_bytes
from pgsnow.model.cost.forecast import Arrivals, Forecast, forecast, loads_a_day
from pgsnow.model.cost.warehouse import Warehouse
from pgsnow.model.duration import format_duration
from pgsnow.model.errors import LedgerAccessDenied, LedgerQueryFailed
from pgsnow.model.settings.settings import Settings
from pgsnow.operations.cost.evidence import Evidence, evidence_of
from pgsnow.operations.cost.result import (
    ASSUMED_BUSY,
    ASSUMED_ROWS,
    DayForecast,
    OtherSetting,
    TableForecast,
)

LONGER = (600.0, 3600.0)
"""Cadences whose forecast is shown beside the configured ones."""
SHORT_SUSPEND = 30
"""AUTO_SUSPEND, in seconds, whose forecast is shown beside the configured one."""
WORTH_SAYING = 0.02
"""Share by which another setting must change the credits to be shown."""
NOT_DEFERRED = (TableMode.FULL, TableMode.APPEND)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Seconds between two reads, and between two loads, of each table that always changes (0: each tick), and the
    facts about the warehouse."""

    reads: Mapping[str, float]
    loads: Mapping[str, float]
    cost: CostConfig

    @classmethod
    def configured(cls, config: SyncConfig) -> Schedule:
        return cls(
            {table.name: table.every for table in config.enabled},
            {table.name: max(table.every, table.load_every) for table in config.enabled},
            config.cost,
        )


def forecast_now(config: SyncConfig, settings: Settings) -> DayForecast | None:
    """The forecast from the ledger's last seven days; None if the role may not read the history, or it takes too long:
    a plan is useful without it. Raises LedgerUnavailable."""
    with closing(Ledger(settings.ledger, config.ledger_schema)) as ledger:
        try:
            return forecast_day(config, evidence_of(config, ledger, datetime.now(UTC)))
        except (LedgerAccessDenied, LedgerQueryFailed):
            return None


def forecast_day(config: SyncConfig, known: Evidence) -> DayForecast:
    """Credits of an average day: by what the ledger knows, and for other tables by assumed arrivals."""
    assumed = Arrivals.steady(ASSUMED_BUSY, ASSUMED_ROWS, config.sync_interval_seconds)
    arrivals = {table.name: known.arrivals.get(table.name, assumed) for table in config.enabled}

    def day(schedule: Schedule) -> tuple[Forecast, Bill]:
        found = forecast(
            arrivals,
            schedule.loads,
            warehouse=Warehouse.from_config(schedule.cost),
            tick_seconds=config.sync_interval_seconds,
            work=known.work,
            parallel=config.parallel_tables,
        )
        # A PUT in each tick that finds changes, and a MERGE for each load.
        puts = (
            loads_a_day(arriving, schedule.reads[name], config.sync_interval_seconds)
            for name, arriving in arrivals.items()
        )
        statements = sum(puts) + sum(found.loads.values())
        return found, Bill.of_day(found.credits, statements, schedule.cost.credits_per_1000_statements)

    configured = Schedule.configured(config)
    found, bill = day(configured)
    others = [
        OtherSetting(setting, tables, day(schedule)[1].credits)
        for setting, tables, schedule in _other_schedules(config, configured)
    ]
    worth = [one for one in others if abs(one.credits - bill.credits) > WORTH_SAYING * bill.credits]
    budget = config.budget.credits_per_day if config.budget else None
    parts = {table.name: _table(table, found, known, config.cost) for table in config.enabled}
    return DayForecast(
        parts, bill, found.resumes, tuple(sorted(worth, key=lambda o: o.credits)), config.cost, budget
    )


def may_defer(table: TableConfig) -> bool:
    """Whether `load_every` is possible for the table."""
    return table.mode not in NOT_DEFERRED and table.load is not LoadMethod.INSERT


def _table(table: TableConfig, found: Forecast, known: Evidence, cost: CostConfig) -> TableForecast:
    loads, size = found.loads.get(table.name, 0.0), known.sizes.get(table.name, 0.0)
    stored = 0.0
    if table.mode is TableMode.FULL:
        transient = table.transient is not False
        stored = replaced_bytes(size, loads, cost.time_travel_days, transient=transient)
    credits = found.by_table.get(table.name, 0.0)
    return TableForecast(table.name, credits, loads, table.name in known.arrivals, stored)


def _other_schedules(config: SyncConfig, now: Schedule) -> Iterator[tuple[str, int, Schedule]]:
    """A setting, the number of tables that it concerns (0: the warehouse), and the schedule that it leads to."""
    for seconds in LONGER:
        deferred, later = dict[str, float](), dict[str, float]()
        for table in config.enabled:
            if now.loads[table.name] < seconds:
                (deferred if may_defer(table) else later)[table.name] = seconds
        written = format_duration(seconds)
        if deferred:
            loads = {**now.loads, **deferred}
            yield f"load_every: {written}", len(deferred), replace(now, loads=loads)
        if later:
            loads, reads = {**now.loads, **later}, {**now.reads, **later}
            yield f"every: {written}", len(later), Schedule(reads, loads, now.cost)
    if config.cost.auto_suspend_seconds > SHORT_SUSPEND:
        shorter = config.cost.model_copy(update={"auto_suspend_seconds": SHORT_SUSPEND})
        yield f"AUTO_SUSPEND = {SHORT_SUSPEND}", 0, replace(now, cost=shorter)
