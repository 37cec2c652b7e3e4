"""The budget in a tick (`budget:`): decides with pgsnow.model.budget which tables are slowed and which load now, and
adapts the inspections accordingly. Imported only where there is a budget."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pgsnow.ledger.budget.store import BudgetFacts, Habits, Waiting
from pgsnow.model.budget.demand import Account, BudgetPlan, Demand, Pace
from pgsnow.model.budget.history import arrivals_of
from pgsnow.model.budget.plan import plan_day
from pgsnow.model.config.cost import CLOCK_SLACK
from pgsnow.model.config.options import Priority
from pgsnow.model.config.sync_config import SyncConfig, TableConfig
from pgsnow.model.cost.forecast import TYPICAL
from pgsnow.model.cost.warehouse import Warehouse
from pgsnow.model.errors import PgsnowError
from pgsnow.model.plan import TablePlan
from pgsnow.model.report import Status, TableReport
from pgsnow.sync.runtime.context import EngineContext
from pgsnow.sync.runtime.log import logger
from pgsnow.sync.runtime.report import table_report
from pgsnow.sync.table.inspect import Inspection
from pgsnow.sync.table.load_schedule import NEVER


@dataclass(frozen=True, slots=True)
class Paced:
    """The inspections of a tick. left: tables that this tick leaves alone, with their reports: nothing of them can be
    staged."""

    inspections: list[Inspection]
    left: list[tuple[Inspection, TableReport]]


def paced(context: EngineContext, run_id: str, inspections: Sequence[Inspection], *, whole: bool) -> Paced:
    """The inspections, slowed as the budget demands. whole: this is a tick over all tables, so the plan is recorded.

    If the ledger cannot tell what was spent, nothing is slowed, and the log says so: a tick never fails for that.
    """
    try:
        at_once = {f.claim.table for f in inspections if f.has_changes and not f.plan.config.load_every}
        plan = day_plan(context, at_once, record=whole)
    except PgsnowError as error:
        logger(run_id=run_id).warning("budget not applied", error=str(error), advice=error.advice)
        return Paced([*inspections], [])
    if plan.conflict is not None and whole:
        logger(run_id=run_id).warning("budget cannot be kept", reason=plan.conflict)
    kept: list[Inspection] = []
    left: list[tuple[Inspection, TableReport]] = []
    for found in inspections:
        pace = plan.paces.get(found.claim.table)
        loads = found.claim.table in plan.loads
        loads &= bool(found.claim.staged) or not found.plan.config.can_be_staged
        if pace is None or loads:
            kept.append(_loading(found) if loads else found)
        elif _waits_unread(found, pace):
            left.append((found, _left_report(found, pace)))
        else:
            kept.append(_slowed(found, pace, context.config.sync_interval_seconds))
    return Paced(kept, left)


def day_plan(context: EngineContext, at_once: Collection[str], *, record: bool) -> BudgetPlan:
    """The plan of the day as it is now. at_once: tables with changes. record: keep it in the ledger, for the status.
    Raises LedgerUnavailable, LedgerAccessDenied, LedgerQueryFailed."""
    config, store = context.config, context.ledger.budget
    names = [table.name for table in config.enabled]
    facts = store.facts(names, context.settings.snowflake.warehouse, config.sync_interval_seconds)
    new = store.habits(facts.now) if facts.habits is None else None
    account = account_of(config, facts)
    habits = new if facts.habits is None else facts.habits
    plan = plan_day(account, demands_of(config, facts, habits), at_once)
    if not record:  # a run of one table follows the tick that has found it
        return replace(plan, loads=plan.loads | facts.decided)
    store.save(account, plan, facts.before, new)
    return plan


def account_of(config: SyncConfig, facts: BudgetFacts) -> Account:
    """The day's credits."""
    budget = config.budget
    warehouse = Warehouse.from_config(config.cost)
    known = facts.awake_until - facts.now <= warehouse.idle_seconds + CLOCK_SLACK
    account = Account(
        facts.now,
        config.sync_interval_seconds,
        budget.credits_per_day if budget else None,
        facts.spent,
        warehouse,
        facts.awake_until if known else 0.0,  # else the clock was set back
        parallel=config.parallel_tables,
    )
    if budget is None or not budget.quiet_hours:
        return account
    now, midnight = (datetime.fromtimestamp(moment, UTC) for moment in (facts.now, account.midnight))
    until = budget.quiet_until(now)
    return replace(
        account,
        quiet_until=None if until is None else until.timestamp(),
        quiet=budget.quiet_shares(now, midnight),
    )


def demands_of(config: SyncConfig, facts: BudgetFacts, habits: Mapping[str, Habits] | None) -> list[Demand]:
    """The demand of each enabled table."""
    found = habits or {}
    return [
        _demand(
            table,
            config.sync_interval_seconds,
            facts.waiting.get(table.name, Waiting()),
            found.get(table.name),
        )
        for table in config.enabled
    ]


def _demand(table: TableConfig, interval: float, waiting: Waiting, habits: Habits | None) -> Demand:
    stages, period = table.can_be_staged, max(interval, table.every)
    return Demand(
        table.name,
        [*Priority].index(table.priority),
        max(period, table.load_every),
        period,
        table.max_lag,
        None if habits is None else arrivals_of(habits.hours, period),
        TYPICAL if habits is None else habits.load,
        waiting.staged_at if stages else waiting.last_success,
        waiting.rows,
        staged=stages,
    )


def _waits_unread(found: Inspection, pace: Pace) -> bool:
    """True for a slowed table with something to load that cannot be staged. While loads are only rarer, first loads and
    other full reads are made at once, as they are needed before anything else."""
    if not found.has_changes or found.claim.staged:
        return False
    if not found.plan.config.can_be_staged:
        return pace.held or found.checkpoint is not None
    reads_all = found.checkpoint is None or found.probe.full_read is not None or found.drift.has_work
    return pace.held and (reads_all or found.restarted)


def _left_report(found: Inspection, pace: Pace) -> TableReport:
    report = table_report(found.recorder, Status.NOT_DUE)
    due = datetime.fromtimestamp(pace.next_load, UTC)
    return replace(report, error=f"not due: {pace.text}", error_type="NotDue", next_attempt=due)


def _slowed(found: Inspection, pace: Pace, interval: float) -> Inspection:
    """The inspection of a table whose changes are staged in this tick. Comparisons with the target, which need a
    warehouse, are made as often as its loads."""
    now = found.claim.granted_at
    wait = max(1.0 if pace.held else pace.load_every, pace.next_load - now)
    compares = not pace.held and now % pace.load_every < interval
    limits: dict[str, object] = {
        "load_every": float(round(wait)),
        "load_when_rows": NEVER,
        "load_when_mb": None,
    }
    if not compares:
        limits["verify_every"] = 0.0
    return replace(
        found,
        plan=_with(found.plan, limits),
        loads=False,
        sweep=found.sweep if compares else None,
        compares=found.compares and compares,
    )


def _loading(found: Inspection) -> Inspection:
    """The inspection of a table whose staged rows are loaded in this tick, with those that it reads now."""
    config = found.plan.config
    if not found.claim.staged or config.load_every > 0:
        return replace(found, loads=True)
    return replace(found, plan=_with(found.plan, {"load_every": max(config.every, 1.0)}), loads=True)


def _with(plan: TablePlan, keys: Mapping[str, object]) -> TablePlan:
    return replace(plan, config=plan.config.model_copy(update=keys))
