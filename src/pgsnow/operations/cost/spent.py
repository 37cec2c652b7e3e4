"""Costs of the last days by table and by kind of statement, from the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

from pgsnow.ledger.errors import unless_missing
from pgsnow.ledger.history.rows import HourRow
from pgsnow.ledger.history.spending import LoadTimesRow, Spending, SpendingRow, StatementKindRow
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.config.cost import CostConfig
from pgsnow.model.cost.bill import Bill, billed_by_day


@dataclass(frozen=True, slots=True)
class TableCost:
    """Costs of one table. loads: runs that needed a warehouse."""

    spent: SpendingRow
    loads: int
    logins: int

    def to_json(self, cost: CostConfig) -> dict[str, Any]:
        price = cost.price_of(self.spent.credits)
        return {
            "table": self.spent.source_table,
            "runs": self.spent.runs,
            "loads": self.loads,
            "rows": self.spent.rows,
            "statements": self.spent.statements,
            "logins": self.logins,
            "warehouse_seconds": round(self.spent.warehouse_seconds, 3),
            "credits": round(self.spent.credits, 6),
            "price": None if price is None else round(price, 2),
        }


@dataclass(frozen=True, slots=True)
class Spent:
    """Costs since a moment. tables: the dearest first; also those that the table list no longer has. kinds: of
    statements, as far as the runs have listed them. bill: cloud services are billed day by day (UTC)."""

    since: datetime
    now: datetime
    tables: tuple[TableCost, ...]
    kinds: tuple[StatementKindRow, ...]
    bill: Bill
    cost: CostConfig

    @property
    def statements(self) -> int:
        return sum(table.spent.statements for table in self.tables)

    @property
    def days(self) -> float:
        """Length of the period that has a run, in days; at least an hour."""
        first = min((table.spent.since for table in self.tables), default=self.now)
        return max(timedelta(hours=1), self.now - max(first, self.since)) / timedelta(days=1)

    def to_json(self) -> dict[str, Any]:
        price = self.cost.price_of(self.bill.credits)
        return {
            "since": self.since.isoformat(),
            "statements": self.statements,
            "logins": sum(table.logins for table in self.tables),
            "warehouse_seconds": round(sum(table.spent.warehouse_seconds for table in self.tables), 3),
            "credits": round(self.bill.credits, 6),
            "credits_per_day": round(self.bill.credits / self.days, 4),
            "price": None if price is None else round(price, 2),
            "warehouse_credits": round(self.bill.compute, 6),
            "cloud_services_credits": round(self.bill.services, 6),
            "cloud_services_billed": round(self.bill.services_billed, 6),
            "kinds": [
                {
                    "kind": k.kind,
                    "statements": k.statements,
                    "seconds": round(k.seconds, 3),
                    "warehouse": k.warehouse,
                }
                for k in self.kinds
            ],
            "tables": [table.to_json(self.cost) for table in self.tables],
        }


def spent_since(ledger: Ledger, cost: CostConfig, since: datetime, now: datetime) -> Spent:
    """Costs of all tables since then; none before the first run. Raises LedgerUnavailable, LedgerAccessDenied."""
    spending = Spending(ledger.history.queries)
    rows = unless_missing(lambda: spending.tables(since), list[SpendingRow]())
    loads = {
        row.source_table: row
        for row in unless_missing(lambda: spending.load_times(since), list[LoadTimesRow]())
    }
    kinds = unless_missing(lambda: spending.kinds(since), list[StatementKindRow]())
    hours = unless_missing(lambda: ledger.history.hours(None, since), list[HourRow]())
    none = LoadTimesRow("", 0, 0.0, 0, 0)
    tables = [
        TableCost(row, loads.get(row.source_table, none).loads, loads.get(row.source_table, none).logins)
        for row in sorted(rows, key=lambda row: (-row.credits, -row.statements, row.source_table))
    ]
    return Spent(since, now, tuple(tables), tuple(kinds), _bill(hours, cost), cost)


def _bill(hours: list[HourRow], cost: CostConfig) -> Bill:
    rate = cost.credits_per_1000_statements / 1000
    days = [
        (sum(one.totals.statements for one in day) * rate, sum(one.totals.credits for one in day))
        for day in (list(rows) for _, rows in groupby(hours, key=lambda row: row.hour.astimezone(UTC).date()))
    ]
    return Bill(sum(day[1] for day in days), sum(day[0] for day in days), billed_by_day(days))
