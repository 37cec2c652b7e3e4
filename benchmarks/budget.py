"""Days under a budget, simulated: `python -m benchmarks.budget` prints what was spent and how late rows were.

The decisions are those of pgsnow.model.budget.plan, the code that a tick uses; arrivals, loads and the bill are
simulated. What the planner knows of the arrivals is the history of an average day, which may be wrong.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pgsnow.model.budget.demand import Account, BudgetPlan, Demand
from pgsnow.model.budget.history import HourOfDay, arrivals_of
from pgsnow.model.budget.plan import plan_day
from pgsnow.model.cost.forecast import DAY, HOURS, TYPICAL, Arrivals, LoadTime
from pgsnow.model.cost.warehouse import Warehouse

START = 20_000 * DAY
"""Midnight (UTC) of the first day."""


@dataclass(frozen=True, slots=True)
class SimulatedTable:
    """busy: transactions per hour, by hour of the day. rows: per transaction. known: how often the planner believes
    that changes arrive, as a multiple of the truth; None: it has no history, and learns from the runs of each hour."""

    name: str
    busy: Sequence[float] = (30.0,) * HOURS
    rows: float = 10.0
    priority: int = 1
    every: float = 0.0
    max_lag: float | None = None
    load: LoadTime = TYPICAL
    known: float | None = 1.0

    def arrivals(self, seconds: float) -> Arrivals | None:
        """The planner's knowledge."""
        if self.known is None:
            return None
        rates = [rate * self.known for rate in self.busy]
        quiet = tuple(math.exp(-rate / 3600 * seconds) for rate in rates)
        return Arrivals(quiet, tuple(rate * self.rows for rate in rates), seconds)


@dataclass(frozen=True, slots=True)
class Simulation:
    """bursts: (first tick, last tick, factor of all arrivals). stops: (first tick, last tick) without a worker. jumps:
    tick → seconds by which the ledger's clock jumps there. quiet: seconds of the day between which no warehouse is
    resumed."""

    tables: Sequence[SimulatedTable]
    limit: float | None
    interval: float = 120.0
    days: float = 1.0
    warehouse: Warehouse = field(default_factory=Warehouse)
    bursts: Sequence[tuple[int, int, float]] = ()
    stops: Sequence[tuple[int, int]] = ()
    jumps: Mapping[int, float] = field(default_factory=dict)
    quiet: tuple[float, float] | None = None
    seed: int = 0


@dataclass(slots=True)
class Outcome:
    """spent: by day. warned_at: the moment of each day at which a conflict was first reported. over_at: at which more
    than the limit was spent. late: (table, lag) where a lag was longer than its max_lag. worst: table → longest lag.
    loads: table → number. wakes: of the warehouse. resumed_in_quiet: by loads that were not forced."""

    spent: dict[int, float] = field(default_factory=dict)
    warned_at: dict[int, float] = field(default_factory=dict)
    over_at: dict[int, float] = field(default_factory=dict)
    late: list[tuple[str, float]] = field(default_factory=list)
    worst: dict[str, float] = field(default_factory=dict)
    loads: dict[str, int] = field(default_factory=dict)
    wakes: int = 0
    resumed_in_quiet: int = 0
    arrived: int = 0
    loaded: int = 0
    slowed: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Queue:
    """Changes of a table that are not loaded. oldest: the true moment of its oldest change. since: when that was read,
    by the ledger's clock; None: nothing is staged."""

    oldest: float | None = None
    since: float | None = None
    rows: float = 0.0
    excused: bool = False


class _Run:
    """The state between ticks."""

    def __init__(self, setup: Simulation) -> None:
        self.setup = setup
        self.random = random.Random(setup.seed)
        self.outcome = Outcome()
        self.queues = {table.name: _Queue() for table in setup.tables}
        self.known = {t.name: t.arrivals(setup.interval) for t in setup.tables}
        self.seen: dict[str, dict[int, HourOfDay]] = {t.name: {} for t in setup.tables if t.known is None}
        self.awake_until = 0.0
        self.shift = 0.0

    def run(self) -> Outcome:
        setup = self.setup
        for number in range(1, round(setup.days * DAY / setup.interval)):
            at = START + number * setup.interval + self.random.uniform(0, 0.1) * setup.interval
            self.shift += setup.jumps.get(number, 0.0)
            arrived = self._arrive(number)
            if any(first <= number <= last for first, last in setup.stops):
                self._keep(arrived, excused=True)
                continue
            clock = at + self.shift
            self._learn(arrived, int(at % DAY // 3600))
            at_once = {t.name for t in setup.tables if t.name in arrived and t.every <= setup.interval}
            plan = plan_day(self._account(clock), self._demands(), at_once)
            self._note(plan, clock)
            self._keep(arrived, excused=False)
            self._load(plan, at, clock)
        return self.outcome

    def _arrive(self, number: int) -> dict[str, tuple[float, int]]:
        """Table → the moment of its first new change, and the number of transactions."""
        setup, found = self.setup, {}
        end = START + number * setup.interval
        factor = math.prod(f for first, last, f in setup.bursts if first <= number <= last)
        hour = int(end % DAY // 3600)
        for table in setup.tables:
            mean = table.busy[hour] * factor * setup.interval / 3600
            at, count, first = 0.0, 0, 0.0
            if mean > 30:
                count, first = round(mean), setup.interval / mean
            elif mean > 0:
                at = self.random.expovariate(mean)
                first = at * setup.interval
                while at < 1:
                    count += 1
                    at += self.random.expovariate(mean)
            if count:
                found[table.name] = (end - setup.interval + first, count)
        return found

    def _learn(self, arrived: Mapping[str, tuple[float, int]], hour: int) -> None:
        """Note the runs of tables without history, and make their history once an hour."""
        rows = {table.name: table.rows for table in self.setup.tables}
        for name, hours in self.seen.items():
            if hour not in hours and hours:
                self.known[name] = arrivals_of(hours, self.setup.interval)
            count = arrived[name][1] if name in arrived else 0
            before = hours.get(hour, HourOfDay())
            hours[hour] = HourOfDay(
                before.busy + (count > 0), before.runs + 1, before.rows + count * rows[name]
            )

    def _account(self, clock: float) -> Account:
        setup, day = self.setup, int(clock // DAY)
        quiet: tuple[float, ...] = ()
        until = None
        if setup.quiet is not None:
            begin, end = setup.quiet
            if begin <= clock % DAY < end:
                until = clock // DAY * DAY + end
            hours = range(int(clock % DAY // 3600), HOURS)
            quiet = tuple(float(begin <= (hour + 0.5) * 3600 < end) for hour in hours)
        return Account(
            clock, setup.interval, setup.limit, self.outcome.spent.get(day, 0.0), setup.warehouse,
            self.awake_until, until, quiet,
        )  # fmt: skip

    def _demands(self) -> list[Demand]:
        interval = self.setup.interval
        return [
            Demand(
                t.name, t.priority, max(t.every, interval), interval, t.max_lag, self.known[t.name], t.load,
                self.queues[t.name].since, self.queues[t.name].rows,
            )
            for t in self.setup.tables
        ]  # fmt: skip

    def _note(self, plan: BudgetPlan, clock: float) -> None:
        if plan.conflict is not None:
            self.outcome.warned_at.setdefault(int(clock // DAY), clock)
        self.outcome.slowed |= plan.paces.keys()

    def _keep(self, arrived: Mapping[str, tuple[float, int]], *, excused: bool) -> None:
        for table in self.setup.tables:
            queue = self.queues[table.name]
            if table.name in arrived:
                first, count = arrived[table.name]
                queue.oldest = first if queue.oldest is None else queue.oldest
                queue.rows += count * table.rows
                self.outcome.arrived += round(count * table.rows)
            queue.excused |= excused and queue.oldest is not None

    def _load(self, plan: BudgetPlan, at: float, clock: float) -> None:
        """Load what the plan says, and tables that are not slowed at once; stage the rest."""
        chosen = []
        for table in self.setup.tables:
            queue = self.queues[table.name]
            if queue.oldest is None:
                continue
            at_once = table.name not in plan.paces and table.every <= self.setup.interval
            if table.name in plan.loads or at_once:
                chosen.append(table)
            elif queue.since is None:
                queue.since = clock
        if not chosen:
            return
        works = [t.load.fixed + t.load.per_row * self.queues[t.name].rows for t in chosen]
        seconds = max(max(works), sum(works) / 4) * self.random.uniform(0.8, 1.25)
        self._bill(clock, seconds)
        for table in chosen:
            queue = self.queues[table.name]
            lag = at - (queue.oldest or at)
            worst = self.outcome.worst
            if not queue.excused:
                worst[table.name] = max(worst.get(table.name, 0.0), lag)
                if table.max_lag is not None and lag > table.max_lag:
                    self.outcome.late.append((table.name, lag))
            self.outcome.loads[table.name] = self.outcome.loads.get(table.name, 0) + 1
            self.outcome.loaded += round(queue.rows)
            self.queues[table.name] = _Queue()

    def _bill(self, clock: float, seconds: float) -> None:
        warehouse, out, day = self.setup.warehouse, self.outcome, int(clock // DAY)
        asleep = not 0 <= self.awake_until - clock <= DAY
        until = clock + (warehouse.awake_seconds(seconds) if asleep else seconds + warehouse.idle_seconds)
        billed = until - clock if asleep else max(0.0, until - self.awake_until)
        self.awake_until = until if asleep else max(until, self.awake_until)
        out.wakes += asleep
        strict = {t.name for t in self.setup.tables if t.max_lag is not None}
        out.resumed_in_quiet += asleep and self._account(clock).quiet_until is not None and not strict
        out.spent[day] = out.spent.get(day, 0.0) + billed * warehouse.credits_per_second
        if self.setup.limit is not None and out.spent[day] > self.setup.limit:
            out.over_at.setdefault(day, clock)


def simulate(setup: Simulation) -> Outcome:
    """The days of this set-up."""
    return _Run(setup).run()


OFFICE = tuple(60.0 if 8 <= hour < 18 else 4.0 for hour in range(HOURS))
"""Transactions per hour of a table that is used in the office."""
NIGHTLY = tuple(3600.0 if hour in (2, 3) else 0.0 for hour in range(HOURS))
"""A job of two hours."""


def scenarios() -> dict[str, Simulation]:
    """The days of the table in docs/budget.md."""
    low = [SimulatedTable(f"events_{n}", rows=200, priority=0) for n in range(20)]
    normal = [SimulatedTable(f"orders_{n}", OFFICE) for n in range(20)]
    high = [SimulatedTable("payments", OFFICE, priority=2, max_lag=600)]
    batch = [SimulatedTable("ledger_entries", NIGHTLY, rows=500, priority=0)]
    tables = [*low, *normal, *high, *batch]
    blind = [
        SimulatedTable(t.name, t.busy, t.rows, t.priority, t.every, t.max_lag, known=None) for t in tables
    ]
    burst = [(300, 420, 20.0)]
    return {
        "no budget": Simulation(tables, None),
        "6 credits": Simulation(tables, 6.0),
        "6 credits, without history": Simulation(blind, 6.0),
        "6 credits, four hours of 20 times the rows": Simulation(tables, 6.0, bursts=burst),
        "6 credits, no worker from 9 to 12": Simulation(tables, 6.0, stops=[(270, 360)]),
        "3 credits": Simulation([*low, *normal, *batch], 3.0),
        "3 credits, quiet from 0 to 6": Simulation([*low, *normal, *batch], 3.0, quiet=(0.0, 6 * 3600.0)),
        "1 credit": Simulation([*low, *normal, *batch], 1.0),
        "1 credit and a max_lag of 10 minutes": Simulation(tables, 1.0),
    }


def main() -> None:
    for name, setup in scenarios().items():
        found = simulate(setup)
        day = int(START // DAY)
        warned, over = found.warned_at.get(day), found.over_at.get(day)
        by_kind = {
            kind: round(max((lag for t, lag in found.worst.items() if t.startswith(kind)), default=0.0) / 60)
            for kind in ("payments", "orders", "events", "ledger_entries")
        }
        print(
            json.dumps(
                {
                    "day": name,
                    "limit": setup.limit,
                    "spent": round(found.spent.get(day, 0.0), 2),
                    "resumes": found.wakes,
                    "worst_lag_minutes": by_kind,
                    "late": len(found.late),
                    "conflict_reported": None if warned is None else f"{(warned - START) / 3600:.1f} h",
                    "limit_reached": None if over is None else f"{(over - START) / 3600:.1f} h",
                }
            )
        )


if __name__ == "__main__":
    main()
