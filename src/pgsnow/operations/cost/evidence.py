"""Facts from the ledger that a forecast is computed from: when changes arrive, and how long loads take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pgsnow.ledger.errors import unless_missing
from pgsnow.ledger.history.spending import LoadTimesRow, Spending, SpendingRow
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.config.sync_config import SyncConfig
from pgsnow.model.cost.forecast import TYPICAL, Arrivals, LoadTime

HISTORY = timedelta(days=7)
"""Time that is looked back on."""
SHORTEST_LOAD = 0.3
"""Seconds; a load is never forecast to be shorter, whatever its rows."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """By table, as far as the ledger knows: its arrivals, the seconds of its loads, the bytes of one load."""

    arrivals: Mapping[str, Arrivals] = field(default_factory=dict)
    work: Mapping[str, LoadTime] = field(default_factory=dict)
    sizes: Mapping[str, float] = field(default_factory=dict)


def evidence_of(config: SyncConfig, ledger: Ledger, now: datetime) -> Evidence:
    """The last seven days of all configured tables; nothing before the first run. A load of a table without history
    takes as long as the mean load of the others. Raises LedgerUnavailable, LedgerAccessDenied."""
    spending, since = Spending(ledger.history.queries), now - HISTORY
    apart = {table.name: table.every for table in config.tables}
    arrivals = unless_missing(
        lambda: spending.arrivals(since, now, apart, config.sync_interval_seconds), dict[str, Arrivals]()
    )
    loads = {
        row.source_table: row
        for row in unless_missing(lambda: spending.load_times(since), list[LoadTimesRow]())
    }
    staged = {
        row.source_table: row.bytes_staged
        for row in unless_missing(lambda: spending.tables(since), list[SpendingRow]())
    }
    work = {name: _load_time(row) for name, row in loads.items() if row.loads}
    if count := sum(row.loads for row in loads.values()):
        mean = sum(loads[name].loads * time.fixed for name, time in work.items()) / count
        work = {table.name: LoadTime(mean, TYPICAL.per_row) for table in config.tables} | work
    sizes = {name: staged.get(name, 0) / row.loads for name, row in loads.items() if row.loads}
    return Evidence(arrivals, work, sizes)


def _load_time(row: LoadTimesRow) -> LoadTime:
    """The mean of the loads, of which each row takes its typical part."""
    mean, rows = row.warehouse_seconds / row.loads, row.rows / row.loads
    return LoadTime(max(SHORTEST_LOAD, mean - rows * TYPICAL.per_row), TYPICAL.per_row)
