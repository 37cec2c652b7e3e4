"""`pgsnow cost` on the screen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pgsnow.cli.commands.cost.cost import account_lines, spent_lines, write_tables
from pgsnow.cli.options import Format
from pgsnow.cli.output.cost_text import number_text
from pgsnow.ledger.history.spending import SpendingRow, StatementKindRow
from pgsnow.model.config.cost import CostConfig
from pgsnow.model.cost.bill import Bill
from pgsnow.operations.cost.account import AccountRecord, TaggedQueries
from pgsnow.operations.cost.result import DayForecast, TableForecast
from pgsnow.operations.cost.spent import Spent, TableCost

NOW = datetime(2026, 3, 8, 12, tzinfo=UTC)
SINCE = NOW - timedelta(days=7)
COST = CostConfig(credit_price=3.0)
USERS = TableCost(SpendingRow("public.users", 5040, 70_000, 0, 2016, 3024.0, 7.0, SINCE), 1008, 5)
SPENT = Spent(
    SINCE, NOW, (USERS,), (StatementKindRow("MERGE", 1008, 3024.4, True), StatementKindRow("PUT", 1008, 403.2, False)),
    Bill(7.0, 0.1, 0.0), COST,
)  # fmt: skip
FORECAST = DayForecast(
    {
        "public.users": TableForecast("public.users", 1.1, 144, is_measured=True),
        "public.new": TableForecast("public.new", 0.2, 100, is_measured=False),
    },
    Bill.of_day(1.3, 500, 0.05), 150.0, (), COST,
)  # fmt: skip


def test_each_table_has_a_row_with_what_it_cost_and_will_cost(capsys: pytest.CaptureFixture[str]) -> None:
    """A table that never ran has its forecast alone."""
    write_tables(SPENT, FORECAST, Format.TABLE, wide=True)
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[1] == ["public.users", "5,040", "1,008", "2,016", "3,024.0", "7.0", "21.0", "1.1"]
    assert (rows[2][0], rows[2][-1]) == ("public.new", "0.2")


def test_the_sums_and_the_account_are_said_in_sentences() -> None:
    """With the price, the kinds of statements, how late the account is, and the rate to put into the table list."""
    assert list(spent_lines(SPENT, 7)) == [
        "Last 7 days: about 7.0 credits (21.00), 1.0 a day.",
        "  2016 statements: about 0.1 credits of cloud services, of which 0 exceed the 10 % of each day's warehouse"
        " credits that are free",
        "  MERGE: 1,008, 3,024.4 s of a warehouse",
        "  PUT: 1,008, 403.2 s without a warehouse",
    ]
    own, others = TaggedQueries(2000, 3000.0, 0.12), TaggedQueries(10, 1000.0, 9.0)
    record = AccountRecord("PGSNOW_WH", SINCE, NOW, 9.1, 7.0, {"public.users": own}, others)
    assert list(account_lines(record)) == [
        "The account, 2026-03-01 12:00 to 2026-03-08 12:00 UTC (it records queries up to 45 minutes late, and"
        " warehouses up to 3 hours):",
        "  warehouse PGSNOW_WH: 9.1 credits, of which others took about 25%; 7.0 were estimated",
        "  2000 statements of pgsnow: 3,000 s of a warehouse, 0.12 credits of cloud services;"
        " credits_per_1000_statements: 0.06",
    ]
    assert list(spent_lines(Spent(SINCE, NOW, (), (), Bill(0, 0, 0), COST), 7)) == [
        "Nothing was synced in this time."
    ]


def test_a_period_with_a_day_of_runs_is_no_week() -> None:
    """Credits a day are those of the days since the first run, so that a new sync is not shown as cheap."""
    young = TableCost(SpendingRow("t", 720, 0, 0, 0, 0.0, 3.0, NOW - timedelta(hours=12)), 0, 0)
    assert Spent(SINCE, NOW, (young,), (), Bill(3.0, 0, 0), COST).to_json()["credits_per_day"] == 6.0


@pytest.mark.parametrize(
    ("credits", "shown"),
    [
        (0, "0"),
        (0.00005, "<0.0001"),
        (0.00123, "0.0012"),
        (0.5, "0.5"),
        (3.62, "3.6"),
        (99.4, "99.4"),
        (1234.5, "1234"),
    ],
)
def test_credits_have_as_many_digits_as_matter(credits: float, shown: str) -> None:
    """Small ones do not become 0.0."""
    assert number_text(credits) == shown
