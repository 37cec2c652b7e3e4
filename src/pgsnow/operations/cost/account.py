"""Compares the estimate with the account's own record, `SNOWFLAKE.ACCOUNT_USAGE`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pgsnow.ledger.errors import unless_missing
from pgsnow.ledger.history.spending import Spending, SpendingRow
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.errors import TargetAccessDenied, TargetMissing
from pgsnow.model.settings.settings import SnowflakeSettings
from pgsnow.model.table import fold_target
from pgsnow.snowflake.grants import account_usage_grants
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.sql import account_usage as sql

LATENCY = timedelta(hours=3)
"""The account's record of warehouses is complete up to this long ago; that of queries up to 45 minutes ago."""


@dataclass(frozen=True, slots=True)
class TaggedQueries:
    """Statements with one query tag. seconds: in a warehouse. services: credits of cloud services."""

    statements: int
    seconds: float
    services: float


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """The account's record of the whole hours between two moments, and the ledger's estimate for them.

    compute: credits of the warehouse. by_table: statements of pgsnow by the table or command that their tag names.
    others: statements of others in this warehouse.
    """

    warehouse: str
    since: datetime
    until: datetime
    compute: float
    estimated: float
    by_table: Mapping[str, TaggedQueries]
    others: TaggedQueries

    @property
    def own(self) -> TaggedQueries:
        """All statements of pgsnow."""
        found = self.by_table.values()
        return TaggedQueries(
            sum(one.statements for one in found),
            sum(one.seconds for one in found),
            sum(one.services for one in found),
        )

    @property
    def share_of_others(self) -> float:
        """Part of the seconds of this warehouse's statements that others took."""
        whole = self.own.seconds + self.others.seconds
        return self.others.seconds / whole if whole else 0.0

    @property
    def credits_per_1000_statements(self) -> float | None:
        """Cloud services of 1,000 statements of pgsnow; None: there was none."""
        own = self.own
        return own.services * 1000 / own.statements if own.statements else None

    def to_json(self) -> dict[str, Any]:
        rate = self.credits_per_1000_statements
        return {
            "warehouse": self.warehouse,
            "since": self.since.isoformat(),
            "until": self.until.isoformat(),
            "warehouse_credits": self.compute,
            "estimated_credits": self.estimated,
            "share_of_others": round(self.share_of_others, 4),
            "credits_per_1000_statements": None if rate is None else round(rate, 6),
            "tables": {
                name: {
                    "statements": one.statements,
                    "seconds": one.seconds,
                    "cloud_services_credits": one.services,
                }
                for name, one in self.by_table.items()
            },
        }


def account_record(
    session: Session, settings: SnowflakeSettings, ledger: Ledger, since: datetime, now: datetime
) -> AccountRecord:
    """The record of the warehouse of the settings. Raises TargetAccessDenied with the grant that is missing."""
    warehouse = fold_target(settings.warehouse) if settings.warehouse else ""
    since, until = _hour(since) + timedelta(hours=1), _hour(now - LATENCY)
    try:
        tagged = session.execute(sql.queries_by_tag(warehouse, since, until)).rows
        [(compute, _)] = session.execute(sql.metering(warehouse, since, until)).rows
    except (TargetMissing, TargetAccessDenied) as error:
        raise TargetAccessDenied(
            f"the role may not read SNOWFLAKE.ACCOUNT_USAGE: {error}",
            advice=f"As ACCOUNTADMIN: {'; '.join(account_usage_grants(settings))}",
        ) from error
    queries = {str(tag): TaggedQueries(int(n), float(s), float(c)) for tag, n, s, c in tagged}
    others = queries.pop("", TaggedQueries(0, 0.0, 0.0))
    rows = unless_missing(lambda: Spending(ledger.history.queries).tables(since, until), list[SpendingRow]())
    by_table = {tag.removeprefix("pgsnow:"): found for tag, found in queries.items()}
    estimated = sum(row.credits for row in rows)
    return AccountRecord(warehouse, since, until, float(compute), estimated, by_table, others)


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)
