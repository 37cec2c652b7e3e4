"""The budget in `pgsnow plan`: an average day under it, before it begins."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from pgsnow.ledger.budget.store import BudgetFacts, Habits
from pgsnow.ledger.errors import unless_missing
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.budget.demand import TICKS_AHEAD, Account, BudgetPlan
from pgsnow.model.budget.plan import plan_day
from pgsnow.model.config.sync_config import SyncConfig
from pgsnow.model.cost.forecast import DAY
from pgsnow.model.duration import format_duration
from pgsnow.model.sentences import counted
from pgsnow.model.settings.settings import Settings
from pgsnow.sync.tick.budget import account_of, demands_of

MOST_TABLES = 5
"""Slowed tables that are listed."""


def budget_notes(config: SyncConfig, settings: Settings) -> list[str]:
    """Sentences about an average day under the budget; none without `budget:`. Reads the ledger alone; before the first
    run, arrivals are assumed. Raises LedgerUnavailable, LedgerAccessDenied."""
    if config.budget is None:
        return []
    ledger = Ledger(settings.ledger, config.ledger_schema)
    try:
        now = datetime.now(UTC).timestamp()
        habits = unless_missing(lambda: ledger.budget.habits(now), dict[str, Habits]())
    finally:
        ledger.close()
    facts = BudgetFacts((now // DAY + 1) * DAY, 0.0, 0.0, 0.0, {}, habits)
    account = account_of(config, facts)
    return [*_sentences(config, account, plan_day(account, demands_of(config, facts, habits)), habits)]


def _sentences(
    config: SyncConfig, account: Account, plan: BudgetPlan, habits: dict[str, Habits]
) -> Iterator[str]:
    basis = "an average day" if habits else "a day of which nothing is known yet"
    limit = "no limit" if account.limit is None else f"{account.limit:g} allowed"
    yield f"budget: {basis} costs about {plan.forecast:.2f} credits, {limit}"
    slowed = {table: pace for table, pace in plan.paces.items() if pace.load_every > pace.configured}
    for name, pace in list(slowed.items())[:MOST_TABLES]:
        usual = format_duration(pace.configured)
        yield f"budget: {name} loads every {format_duration(pace.load_every)} instead of {usual}"
    if len(slowed) > MOST_TABLES:
        yield f"budget: so do {counted(len(slowed) - MOST_TABLES, 'other table')}, more or less often"
    if plan.conflict is not None:
        yield f"budget: it cannot be kept: {plan.conflict}"
    for table in config.enabled:
        period = max(config.sync_interval_seconds, table.every)
        least = period + TICKS_AHEAD * config.sync_interval_seconds
        if table.max_lag is not None and table.max_lag < least:
            yield (
                f"budget: {table.name} is never slowed: its max_lag leaves no time to wait, which begins at"
                f" {format_duration(least)}"
            )
