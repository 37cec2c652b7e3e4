"""Credits of an average day, from when changes arrive and how often each table is loaded.

Assumptions: whether one tick finds changes does not depend on the tick before; a day is like the mean of the days that
the arrivals were measured on; tables that load in one tick share the time for which the warehouse is awake.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache

from pgsnow.model.cost.warehouse import Warehouse

HOURS = 24
DAY = 86_400.0
"""Seconds."""
SHORTEST_TICK = 10.0
"""Seconds."""
SURE = 1e-12
"""The smallest probability that an interval is quiet, so that its logarithm is finite."""


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Changes of one table on an average day.

    quiet: for each hour (UTC), the probability that `seconds` pass without a change. rows: changed rows in each hour.
    """

    quiet: tuple[float, ...]
    rows: tuple[float, ...]
    seconds: float = 120.0

    @classmethod
    def steady(cls, busy: float, rows_per_hour: float = 0.0, seconds: float = 120.0) -> Arrivals:
        """Arrivals that are alike at all hours. busy: the share of the intervals of `seconds` that have changes."""
        return cls((1 - busy,) * HOURS, (rows_per_hour,) * HOURS, seconds)

    def chance(self, until: float, seconds: float) -> float:
        """The probability of at least one change in the `seconds` before this second of the day."""
        return 1 - math.exp(self._integral(self._log_quiet, until - seconds, until))

    def rows_in(self, until: float, seconds: float) -> float:
        """Expected number of changed rows in the `seconds` before this second of the day."""
        return self._integral(lambda hour: self.rows[hour] / 3600, until - seconds, until)

    def _log_quiet(self, hour: int) -> float:
        return math.log(max(self.quiet[hour], SURE)) / self.seconds

    @staticmethod
    def _integral(rate: Callable[[int], float], since: float, until: float) -> float:
        """The integral of a rate by the hour of the day. since: perhaps on a day before, thus negative."""
        total, at = 0.0, since
        while until - at > 1e-6:
            hour = math.floor(at / 3600 + 1e-9)
            end = min(until, (hour + 1) * 3600.0)
            total += rate(hour % HOURS) * (end - at)
            at = end
        return total


@dataclass(frozen=True, slots=True)
class LoadTime:
    """Seconds of warehouse work of one load: `fixed`, and `per_row` for each row of it."""

    fixed: float = 3.0
    per_row: float = 1e-5


TYPICAL = LoadTime()
"""A table without history."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """An average day. credits, by_table: a day; each table's share of the time that tables have in common is in
    proportion to its loads. by_hour: credits in each hour (UTC). resumes: of the warehouse. loads: by table, a day."""

    by_table: Mapping[str, float] = field(default_factory=dict)
    by_hour: tuple[float, ...] = (0.0,) * HOURS
    resumes: float = 0.0
    awake_seconds: float = 0.0
    loads: Mapping[str, float] = field(default_factory=dict)

    @property
    def credits(self) -> float:
        return sum(self.by_hour)


def forecast(
    arrivals: Mapping[str, Arrivals],
    cadence: Mapping[str, float],
    *,
    warehouse: Warehouse,
    tick_seconds: float = 120.0,
    work: Mapping[str, LoadTime] | None = None,
    parallel: int = 4,
) -> Forecast:
    """Credits a day if each table with arrivals is loaded at the first tick after each full multiple of its cadence
    (seconds; missing or 0: at each tick), provided that something has arrived.

    work: what a load takes; TYPICAL for tables that are missing. parallel: tables that load at the same time. Ticks
    within SHORTEST_TICK count as one, as they find the warehouse awake.
    """
    tick_seconds = max(tick_seconds, SHORTEST_TICK)
    ticks = _ticks(arrivals, cadence, tick_seconds, work or {}, parallel)
    return _billed(ticks, warehouse, tick_seconds)


@dataclass(slots=True)
class _Tick:
    """Expectations for ticks that are alike: for each table that is due the probability of a load and its expected
    seconds; the probability of any load, and the seconds of work if there is one. times, billed: how many ticks a day
    are like this one, and the seconds that they are charged for."""

    tables: list[tuple[str, float, float]]
    chance: float
    seconds: float
    times: int = 0
    billed: float = 0.0

    @classmethod
    def of_tables(cls, tables: list[tuple[str, float, float]], parallel: int) -> _Tick:
        """Loads of one tick together last as long as one of them, and as all of them on `parallel` lanes."""
        chance, seconds = 1 - math.prod(1 - one for _, one, _ in tables), sum(spent for _, _, spent in tables)
        if chance <= 0:
            return cls(tables, 0.0, 0.0)
        longest = seconds / sum(one for _, one, _ in tables)
        return cls(tables, chance, max(longest, seconds / chance / parallel))


def is_due(at: float, cadence: float, tick_seconds: float) -> bool:
    """Whether the tick at this second of the day is the first after a full multiple of the cadence."""
    return cadence <= tick_seconds or at % cadence < tick_seconds


def loads_a_day(arrivals: Arrivals, cadence: float, tick_seconds: float) -> float:
    """How often a table is loaded on an average day, or read, if that is what the cadence is about."""
    every = max(cadence, tick_seconds)
    return sum(times * arrivals.chance(end, every) for end, times in _ends(every, tick_seconds).items())


@cache
def _ends(every: float, tick_seconds: float) -> Mapping[float, int]:
    """The second of the day until which changes count, and how many loads a day count them like that: those of one hour
    are alike, as arrivals are constant within it."""
    times = (number * tick_seconds for number in range(max(1, round(DAY / tick_seconds))))
    return Counter(_end(at, every) for at in times if is_due(at, every, tick_seconds))


def _end(at: float, every: float) -> float:
    return at if every > 3600 else at // 3600 * 3600 + 3600


def _ticks(
    arrivals: Mapping[str, Arrivals],
    cadence: Mapping[str, float],
    tick_seconds: float,
    work: Mapping[str, LoadTime],
    parallel: int,
) -> list[_Tick]:
    """The ticks of a day; those of one hour with the same tables due are one object."""
    by_cadence: dict[float, list[str]] = {}
    for name in arrivals:
        by_cadence.setdefault(max(cadence.get(name, 0.0), tick_seconds), []).append(name)
    known: dict[tuple[float, ...], _Tick] = {}
    ticks = []
    for number in range(max(1, round(DAY / tick_seconds))):
        at = number * tick_seconds
        due = [every for every in by_cadence if is_due(at, every, tick_seconds)]
        end = _end(at, max(due, default=0.0))
        if (end, *due) not in known:
            tables = [
                (name, *_expected(arrivals[name], every, end, work.get(name, TYPICAL)))
                for every in due
                for name in by_cadence[every]
            ]
            known[(end, *due)] = _Tick.of_tables(tables, parallel)
        ticks.append(known[(end, *due)])
    return ticks


def _expected(arrivals: Arrivals, every: float, end: float, time: LoadTime) -> tuple[float, float]:
    """The probability that changes of the time before `end` are loaded, and the expected seconds of that."""
    chance = arrivals.chance(end, every)
    return chance, chance * time.fixed + arrivals.rows_in(end, every) * time.per_row


def _billed(ticks: list[_Tick], warehouse: Warehouse, tick_seconds: float) -> Forecast:
    by_hour, resumes = [0.0] * HOURS, 0.0
    for number, tick in enumerate(ticks):
        if tick.chance > 0:
            length = warehouse.awake_seconds(tick.seconds)
            billed = tick.chance * _until_next(ticks, number, length, tick_seconds)
            resumes += tick.chance * _asleep(ticks, number, warehouse, tick_seconds)
            tick.times, tick.billed = tick.times + 1, tick.billed + billed
            by_hour[int(number * tick_seconds // 3600) % HOURS] += billed * warehouse.credits_per_second
    by_table, loads = dict[str, float](), dict[str, float]()
    for tick in {id(tick): tick for tick in ticks if tick.times}.values():
        idle = warehouse.idle_seconds
        whole = sum(chance * idle + spent for _, chance, spent in tick.tables)
        for name, chance, spent in tick.tables:
            share = tick.billed * warehouse.credits_per_second * (chance * idle + spent) / whole
            by_table[name] = by_table.get(name, 0.0) + share
            loads[name] = loads.get(name, 0.0) + chance * tick.times
    awake = sum(by_hour) / warehouse.credits_per_second
    return Forecast(by_table, tuple(by_hour), resumes, awake, loads)


def _until_next(ticks: list[_Tick], number: int, length: float, tick_seconds: float) -> float:
    """Expected seconds from this tick's load until the warehouse sleeps or the next load begins, which is charged for
    what follows. length: seconds until it sleeps if none begins."""
    expected, none_yet, steps = 0.0, 1.0, math.ceil(length / tick_seconds)
    for step in range(steps):
        expected += none_yet * (min(length, (step + 1) * tick_seconds) - step * tick_seconds)
        none_yet *= 1 - ticks[(number + step + 1) % len(ticks)].chance
    return expected


def _asleep(ticks: list[_Tick], number: int, warehouse: Warehouse, tick_seconds: float) -> float:
    """The probability that no earlier load keeps the warehouse awake when this tick begins."""
    none, step = 1.0, 1
    while step < len(ticks) and step * tick_seconds < DAY:
        before = ticks[(number - step) % len(ticks)]
        if step * tick_seconds > warehouse.awake_seconds(before.seconds):
            break
        none *= 1 - before.chance
        step += 1
    return none
