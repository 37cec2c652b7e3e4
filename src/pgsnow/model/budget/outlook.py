"""Expected costs of the rest of a day if tables are loaded less often, by groups of tables that are alike."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from pgsnow.model.budget.demand import Account, Demand
from pgsnow.model.budget.history import UNKNOWN
from pgsnow.model.cost.forecast import DAY, HOURS, SURE

STEPS = 12
"""How often a cadence is doubled at most."""


@dataclass(slots=True)
class Group:
    """Tables that are slowed together, as their priority, their cadence and their longest cadence are the same.

    forced: they have a `max_lag`. rates: changes per second of all of them, by hour of the day (UTC). rows: seconds of
    loading their rows, per hour, likewise. fixed: seconds of loading each of them once, without rows.
    """

    priority: int
    every: float
    longest: float
    forced: bool
    tables: list[str] = field(default_factory=list)
    rates: list[float] = field(default_factory=lambda: [0.0] * HOURS)
    rows: list[float] = field(default_factory=lambda: [0.0] * HOURS)
    fixed: float = 0.0

    def add(self, demand: Demand) -> None:
        arrivals = demand.arrivals or UNKNOWN
        for hour in range(HOURS):
            self.rates[hour] -= math.log(max(arrivals.quiet[hour], SURE)) / arrivals.seconds
            self.rows[hour] += arrivals.rows[hour] * demand.load.per_row
        self.fixed += demand.load.fixed
        self.tables.append(demand.table)

    def chance(self, hour: int, cadence: float) -> float:
        """The probability that one of its tables has something to load."""
        return 1 - math.exp(-self.rates[hour] / len(self.tables) * cadence)


def groups_of(demands: Iterable[Demand], interval: float) -> list[Group]:
    """The tables, put together where they are alike."""
    demands = list(demands)
    found: dict[tuple[int, float, float, bool], Group] = {}
    base = min((demand.every for demand in demands), default=interval)
    for demand in demands:
        most = max(base, min(demand.longest_wait(interval), DAY))
        longest = max(demand.every, base * 2.0 ** math.floor(math.log2(most / base) + 1e-9))
        key = (demand.priority, demand.every, longest, demand.max_lag is not None)
        if key not in found:
            found[key] = Group(*key)
        found[key].add(demand)
    return list(found.values())


class Outlook:
    """The rest of the day at `account.now`. A step of a priority doubles the cadence of its tables."""

    def __init__(self, account: Account, groups: Sequence[Group]) -> None:
        self._account = account
        self.groups = groups
        self._base = min((group.every for group in groups), default=account.interval)
        full = range(int(account.now // 3600) + 1, int(account.midnight // 3600))
        marks = [account.now, *(hour * 3600.0 for hour in full), account.midnight]
        quiet = [*account.quiet, *([0.0] * len(marks))]
        self._hours = [
            (int(since % DAY // 3600), to - since, quiet[at])
            for at, (since, to) in enumerate(pairwise(marks))
        ]
        self._forced = _by_cadence((group.longest, group) for group in groups if group.forced)

    def cadence(self, group: Group, steps: Mapping[int, int]) -> float:
        """Seconds between two loads. All slowed tables are on one ladder, so that slower loads coincide with faster
        ones, and the warehouse is resumed once."""
        step = steps.get(group.priority, 0)
        return max(group.every, min(self._base * 2.0**step, group.longest)) if step else group.every

    def credits(self, steps: Mapping[int, int]) -> float:
        """Expected credits from now to midnight."""
        usual = _by_cadence((self.cadence(group, steps), group) for group in self.groups)
        seconds = 0.0
        for hour, length, quiet in self._hours:
            if quiet < 1:
                seconds += self._awake(usual, hour) * length / 3600 * (1 - quiet)
            if quiet > 0:
                seconds += self._awake(self._forced, hour) * length / 3600 * quiet
        return seconds * self._account.warehouse.credits_per_second

    def forced_credits(self) -> float:
        """Credits to keep for tables with `max_lag`: what they need at least until midnight, and that of one load at
        least."""
        if not self._forced:
            return 0.0
        warehouse = self._account.warehouse
        one = max(group.fixed / len(group.tables) for _, groups in self._forced for group in groups)
        seconds = sum(self._awake(self._forced, hour) * length / 3600 for hour, length, _ in self._hours)
        return max(seconds * warehouse.credits_per_second, warehouse.credits_of_wake(one))

    def _awake(self, by_cadence: Sequence[tuple[float, list[Group]]], hour: int) -> float:
        """Expected seconds of a full hour for which the warehouse is awake."""
        wakes = work = loads = rate = 0.0
        for at, (cadence, groups) in enumerate(by_cadence):
            slower = by_cadence[at + 1][0] if at + 1 < len(by_cadence) else math.inf
            rate += sum(group.rates[hour] for group in groups) * cadence
            wakes += (3600 / cadence - 3600 / slower) * (1 - math.exp(-rate))
            for group in groups:
                chance = group.chance(hour, cadence) * 3600 / cadence
                loads += chance * len(group.tables)
                work += chance * group.fixed + group.rows[hour]
        if wakes <= 0:
            return 0.0
        lanes = max(1.0, min(self._account.parallel, loads / wakes))
        return min(3600.0, wakes * self._account.warehouse.awake_seconds(work / wakes / lanes))


def _by_cadence(groups: Iterable[tuple[float, Group]]) -> list[tuple[float, list[Group]]]:
    found: dict[float, list[Group]] = {}
    for cadence, group in groups:
        found.setdefault(cadence, []).append(group)
    return sorted(found.items())
