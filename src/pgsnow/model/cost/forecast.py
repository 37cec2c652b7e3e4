"""Credits of an average day, from when changes arrive and how often each table is loaded.

Assumptions: whether one tick finds changes does not depend on the tick before; a day is like the mean of the days that
the arrivals were measured on; tables that load in one tick share the time for which the warehouse is awake.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pgsnow.model.cost.warehouse import Warehouse

HOURS = 24
DAY = 86_400.0
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

    work: what a load takes; TYPICAL for tables that are missing. parallel: tables that load at the same time.
    """
    ticks = _ticks(arrivals, cadence, tick_seconds, work or {}, parallel)
    return _billed(ticks, warehouse, tick_seconds)


@dataclass(slots=True)
class _Tick:
    """Expectations for one tick: the probability of any load, its seconds of work if there is one, and for each table
    the probability and the expected seconds."""

    chance: float = 0.0
    seconds: float = 0.0
    tables: list[tuple[str, float, float]] = field(default_factory=list)


def is_due(at: float, cadence: float, tick_seconds: float) -> bool:
    """Whether the tick at this second of the day is the first after a full multiple of the cadence."""
    return cadence <= tick_seconds or at % cadence < tick_seconds


def _ticks(
    arrivals: Mapping[str, Arrivals],
    cadence: Mapping[str, float],
    tick_seconds: float,
    work: Mapping[str, LoadTime],
    parallel: int,
) -> list[_Tick]:
    ticks = [_Tick() for _ in range(max(1, round(DAY / tick_seconds)))]
    for name, arriving in arrivals.items():
        every, time = max(cadence.get(name, 0.0), tick_seconds), work.get(name, TYPICAL)
        known: dict[float, tuple[float, float]] = {}
        for number, tick in enumerate(ticks):
            at = number * tick_seconds
            if is_due(at, every, tick_seconds):
                # Arrivals are constant within an hour, so loads of one hour have the same expectations: computed once.
                end = at // 3600 * 3600 + 3600 if every <= 3600 else at
                if end not in known:
                    chance = arriving.chance(end, every)
                    known[end] = chance, chance * time.fixed + arriving.rows_in(end, every) * time.per_row
                if known[end][0] > 0:
                    tick.tables.append((name, *known[end]))
    for tick in ticks:
        _together(tick, parallel)
    return ticks


def _together(tick: _Tick, parallel: int) -> None:
    """Sets what the loads of one tick are together: as long as one of them, and as all of them on `parallel` lanes."""
    tick.chance = 1 - math.prod(1 - chance for _, chance, _ in tick.tables)
    if tick.chance > 0:
        seconds = sum(spent for _, _, spent in tick.tables)
        one = seconds / sum(chance for _, chance, _ in tick.tables)
        tick.seconds = max(one, seconds / tick.chance / parallel)


def _billed(ticks: list[_Tick], warehouse: Warehouse, tick_seconds: float) -> Forecast:
    by_table: dict[str, float] = {}
    loads: dict[str, float] = {}
    by_hour, resumes, awake = [0.0] * HOURS, 0.0, 0.0
    for number, tick in enumerate(ticks):
        if tick.chance <= 0:
            continue
        length = warehouse.awake_seconds(tick.seconds)
        billed = tick.chance * _until_next(ticks, number, length, tick_seconds)
        resumes += tick.chance * _asleep(ticks, number, warehouse, tick_seconds)
        awake += billed
        by_hour[int(number * tick_seconds // 3600) % HOURS] += billed * warehouse.credits_per_second
        weights = {name: chance * warehouse.idle_seconds + spent for name, chance, spent in tick.tables}
        whole = sum(weights.values())
        for name, chance, _ in tick.tables:
            share = billed * warehouse.credits_per_second * weights[name] / whole
            by_table[name] = by_table.get(name, 0.0) + share
            loads[name] = loads.get(name, 0.0) + chance
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
