"""Decides which tables are slowed, and which load in this tick. docs/decisions/55-a-budget-that-is-kept.md says why it
decides as it does. A tick and the simulation (`python -m benchmarks.budget`) call the same function."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from pgsnow.model.budget.demand import Account, BudgetPlan, Demand, Pace
from pgsnow.model.budget.outlook import STEPS, Outlook, groups_of
from pgsnow.model.cost.forecast import DAY
from pgsnow.model.duration import format_duration
from pgsnow.model.sentences import counted

NOTHING_SAVED = 1.005
"""A table is slowed less if that costs at most this much more: being slowed would save nothing."""
STEPS_BETWEEN = 2
"""Doublings by which a table may be slower than one of the next higher priority: a low one is loaded at least every
fourth time that a normal one is, so that it does not wait all day for the sake of a more important one."""
TOLERANCE = 1.01
"""A forecast up to this multiple of the budget is no conflict."""
MOST_NAMES = 3
"""Tables that a sentence names."""
JOINS_AT = 0.5
"""A slowed table that has waited for this part of its cadence joins a load that is made anyway."""
JOINS_AFTER = 8
"""It does so as soon as it has waited for so many of its usual intervals, too."""
JOINING_SHARE = 0.1
"""Tables that join may add this part to the credits of a load even if no credits are left for them: a table with
`max_lag` wakes the warehouse, and they would otherwise wait until midnight."""


def plan_day(account: Account, demands: Sequence[Demand], at_once: Collection[str] = ()) -> BudgetPlan:
    """The paces of all tables for the rest of the day, and the loads of this tick.

    at_once: tables that have changes in this tick, and load them if they are not slowed. It depends on its arguments
    alone, so that all workers decide alike. What must be loaded to keep a `max_lag` is in the loads, whatever it costs.
    """
    outlook = Outlook(account, groups_of(demands, account.interval))
    reserve = outlook.forced_credits()
    steps = steps_of(outlook, account.left)
    hold = _hold(account, demands, reserve)
    paces = _paces(account, demands, outlook, steps, hold)
    forced = [demand for demand in demands if demand.must_load(account.now, account.interval)]
    begun = [demand for demand in demands if demand.table in at_once and demand.table not in paces]
    loads = _loads(account, demands, paces, [*forced, *begun], account.left - reserve)
    paces |= _refused(account, demands, paces, loads)
    least = account.spent + outlook.credits(dict.fromkeys(steps, STEPS))
    return BudgetPlan(
        paces,
        loads - {demand.table for demand in begun if demand.waiting_since is None},
        hold and hold[0],
        account.spent + outlook.credits(steps),
        least,
        _conflict(account, demands, forced, least),
    )


def steps_of(outlook: Outlook, left: float) -> dict[int, int]:
    """The steps of each priority with which the rest of the day costs no more than what is left: the smallest that do,
    where each priority is STEPS_BETWEEN steps behind the next lower one. None is slowed where that saves nothing."""
    priorities = sorted({group.priority for group in outlook.groups})
    low, high = 0, STEPS + STEPS_BETWEEN * max(0, len(priorities) - 1)
    while low < high:
        middle = (low + high) // 2
        if outlook.credits(_steps_at(middle, priorities)) <= left:
            high = middle
        else:
            low = middle + 1
    steps = _steps_at(high, priorities)
    if high == 0:
        return steps
    enough = max(left, outlook.credits(steps) * NOTHING_SAVED)
    for priority in reversed(priorities):
        for fewer in range(steps[priority]):
            if outlook.credits({**steps, priority: fewer}) <= enough:
                steps[priority] = fewer
                break
    return steps


def _steps_at(pressure: int, priorities: Sequence[int]) -> dict[int, int]:
    """The steps at one level of need. priorities: the lowest first."""
    return {
        priority: min(STEPS, max(0, pressure - STEPS_BETWEEN * rank))
        for rank, priority in enumerate(priorities)
    }


def _hold(account: Account, demands: Sequence[Demand], reserve: float) -> tuple[float, str] | None:
    """Until when nothing is loaded that can wait, and why; None: loads are made."""
    if account.quiet_until is not None:
        return account.quiet_until, "quiet hours"
    smallest = min((demand.load.fixed for demand in demands), default=0.0)
    if account.credits_of(smallest) + reserve <= account.left:
        return None
    kept = f" and {reserve:.2f} are kept for tables with max_lag" if reserve >= 0.005 else ""
    return account.midnight, f"{account.spent:.2f} of today's credits ({account.limit:g}) are spent{kept}"


def _paces(
    account: Account,
    demands: Sequence[Demand],
    outlook: Outlook,
    steps: Mapping[int, int],
    hold: tuple[float, str] | None,
) -> dict[str, Pace]:
    """The slowed tables. One whose `max_lag` leaves no time to wait is not slowed."""
    cadences = {t: outlook.cadence(group, steps) for group in outlook.groups for t in group.tables}
    until, why = hold or (account.midnight, "")
    found: dict[str, Pace] = {}
    for demand in demands:
        cadence, longest = cadences[demand.table], demand.longest_wait(account.interval)
        if longest < 0 or (hold is None and cadence <= demand.every):
            continue
        since = account.now if demand.waiting_since is None else demand.waiting_since
        slot = hold[0] if hold else (since // cadence + 1) * cadence
        found[demand.table] = Pace(
            cadence,
            demand.every,
            why or _short(account, demand),
            until,
            min(slot, since + longest),
            held=hold is not None,
        )
    return found


def _refused(
    account: Account, demands: Sequence[Demand], paces: Mapping[str, Pace], loads: Collection[str]
) -> dict[str, Pace]:
    """Tables that are not slowed, but of which so much waits that its load would cost more than what is left."""
    return {
        demand.table: Pace(
            demand.every,
            demand.every,
            f"{account.spent:.2f} of today's credits ({account.limit:g}) are spent, and the rest does not suffice for"
            f" its load of {counted(round(demand.waiting_rows), 'row')}",
            account.midnight,
            account.midnight,
            held=True,
        )
        for demand in demands
        if demand.staged and demand.table not in paces and demand.table not in loads
        if demand.waiting_since is not None and _is_due(account, demand.waiting_since, demand.every)
    }


def _is_due(account: Account, since: float, cadence: float) -> bool:
    return since > account.now or account.now // cadence > since // cadence


def _short(account: Account, demand: Demand) -> str:
    usual = format_duration(demand.every)
    return (
        f"{account.spent:.2f} of today's credits ({account.limit:g}) are spent, and the rest would not last with"
        f" loads every {usual}"
    )


@dataclass(slots=True)
class _Wake:
    """The loads of one tick. longest, total: seconds of their work. is_certain: it is known that there is one."""

    account: Account
    tables: list[str]
    longest: float = 0.0
    total: float = 0.0
    is_certain: bool = False

    @property
    def credits(self) -> float:
        """Its credits."""
        return self._credits(self.longest, self.total)

    def with_(self, demand: Demand) -> float:
        """Its credits if this table is loaded too."""
        return self._credits(max(self.longest, demand.load_seconds), self.total + demand.load_seconds)

    def add(self, demand: Demand) -> None:
        self.tables.append(demand.table)
        self.is_certain |= demand.staged
        self.longest, self.total = max(self.longest, demand.load_seconds), self.total + demand.load_seconds

    def _credits(self, longest: float, total: float) -> float:
        return self.account.credits_of(max(longest, total / max(1, self.account.parallel)))


def _loads(
    account: Account,
    demands: Sequence[Demand],
    paces: Mapping[str, Pace],
    first: Sequence[Demand],
    left: float,
) -> frozenset[str]:
    """The tables that load in this tick: the first, which do in any case; then those that are due, the most important
    first, as far as the credits go; at last those that join, the longest waiting first."""
    wake = _Wake(account, [])
    for demand in first:
        wake.add(demand)
    must, joining = set(wake.tables), list[Demand]()
    for demand in sorted(demands, key=lambda each: -each.priority):
        since, pace = demand.waiting_since, paces.get(demand.table)
        if since is None or demand.table in must:
            continue
        cadence = demand.every if pace is None else pace.load_every
        is_due = _is_due(account, since, cadence)
        if is_due and not (pace and pace.held):
            if wake.with_(demand) <= left:
                wake.add(demand)
        elif is_due or account.now - since >= min(JOINS_AT * cadence, JOINS_AFTER * demand.every):
            joining.append(demand)
    if wake.is_certain or account.awake_until > account.now:
        most = max(left, wake.credits * (1 + JOINING_SHARE))
        for demand in sorted(joining, key=lambda each: each.waiting_since or 0.0):
            if wake.with_(demand) <= most:
                wake.add(demand)
    return frozenset(wake.tables)


def _conflict(
    account: Account, demands: Sequence[Demand], forced: Sequence[Demand], least: float
) -> str | None:
    """Why the budget cannot be kept: the forecast says so, or a table with `max_lag` would have to be loaded with
    credits that are not there."""
    if account.limit is None:
        return None
    strict = sorted((d for d in demands if d.max_lag is not None), key=lambda d: d.max_lag or DAY)
    wake = _Wake(account, [])
    next_one = max((wake.with_(demand) for demand in [*strict, *forced]), default=0.0)
    is_guess = any(demand.arrivals is None for demand in strict)
    needed = account.spent + next_one if is_guess else max(least, account.spent + next_one)
    if needed <= account.limit * TOLERANCE:
        return None
    limit = f"{account.limit:g} credit{'s' * (account.limit != 1)}"
    if account.spent > account.limit:
        begin = f"the budget of {limit} is used up, {account.spent:.2f} are spent today"
    else:
        begin = f"the budget of {limit} a day will not last, {needed:.2f} are needed today"
    if not strict:
        return f"{begin}, although every table is loaded as rarely as possible"
    named = ", ".join(f"{d.table} ({format_duration(d.max_lag or DAY)})" for d in strict[:MOST_NAMES])
    more = f" and {len(strict) - MOST_NAMES} more" if len(strict) > MOST_NAMES else ""
    return f"{begin}, to keep the max_lag of {named}{more}"
