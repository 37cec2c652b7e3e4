"""The costs of syncing, and when changes arrived, from sync_hours and sync_logs: for `pgsnow cost`, forecasts and
budgets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pgsnow.ledger.queries import Queries
from pgsnow.model.cost.forecast import HOURS, Arrivals


@dataclass(frozen=True, slots=True)
class SpendingRow:
    """Costs of one table. since: begin of the first hour that is counted."""

    source_table: str
    runs: int
    rows: int
    bytes_staged: int
    statements: int
    warehouse_seconds: float
    credits: float
    since: datetime


@dataclass(frozen=True, slots=True)
class LoadTimesRow:
    """Runs of one table that needed a warehouse, their seconds of it and their rows; the logins of all its runs."""

    source_table: str
    loads: int
    warehouse_seconds: float
    rows: int
    logins: int


@dataclass(frozen=True, slots=True)
class StatementKindRow:
    """Statements of one kind, such as MERGE. warehouse: it needs one."""

    kind: str
    statements: int
    seconds: float
    warehouse: bool


@dataclass(frozen=True, slots=True)
class Spending:
    """Reads of what `RunLog.finish` has written. arrivals and tables read sync_hours alone, and are cheap enough for a
    tick; the others read the runs in sync_logs that were not idle."""

    queries: Queries

    def arrivals(
        self, since: datetime, until: datetime, seconds: Mapping[str, float], default: float
    ) -> dict[str, Arrivals]:
        """When changes of each table arrived, in the whole hours between. seconds: between two runs of a table, if that
        is not `default`. Tables of which nothing is known are missing."""
        by_table: dict[str, list[Any]] = {}
        for row in self.queries.execute("arrivals", since=since, until=until):
            by_table.setdefault(row["source_table"], []).append(row)
        found = {
            name: _arrivals(rows, max(default, seconds.get(name, 0.0))) for name, rows in by_table.items()
        }
        return {name: arrivals for name, arrivals in found.items() if arrivals is not None}

    def tables(self, since: datetime, until: datetime | None = None) -> list[SpendingRow]:
        """One row for each table that ran in the hour of `since` or later, by name. until: the hours that have ended
        then."""
        return [SpendingRow(**row) for row in self.queries.execute("spending", since=since, until=until)]

    def load_times(self, since: datetime) -> list[LoadTimesRow]:
        """One row for each table that has not only been idle since then, by name."""
        return [LoadTimesRow(**row) for row in self.queries.execute("load_times", since=since)]

    def kinds(self, since: datetime, table: str | None = None) -> list[StatementKindRow]:
        """Statements by kind, those with the most seconds first. A run lists at most 200."""
        rows = self.queries.execute("statement_kinds", since=since, table=table)
        return [StatementKindRow(**row) for row in rows]


def _arrivals(rows: Iterable[Mapping[str, Any]], seconds: float) -> Arrivals | None:
    """Hours of the day without any run count like the mean of the others; None: no run has an outcome."""
    quiet, arrived = dict[int, float](), dict[int, float]()
    for row in rows:
        if runs := row["busy"] + row["idle"]:
            quiet[row["hour_of_day"]] = float(row["idle"] / runs)
            arrived[row["hour_of_day"]] = float(row["rows_read"] / row["hours"])
    if not quiet:
        return None
    mean_quiet, mean_rows = sum(quiet.values()) / len(quiet), sum(arrived.values()) / len(arrived)
    return Arrivals(
        tuple(quiet.get(hour, mean_quiet) for hour in range(HOURS)),
        tuple(arrived.get(hour, mean_rows) for hour in range(HOURS)),
        seconds,
    )
