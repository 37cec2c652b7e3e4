"""Values from which the plan of a day is made, and the plan. Moments are seconds since 1970; days are those of UTC."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pgsnow.model.cost.forecast import DAY, TYPICAL, Arrivals, LoadTime
from pgsnow.model.cost.warehouse import Warehouse
from pgsnow.model.duration import format_duration

TICKS_AHEAD = 1.5
"""A change is loaded so many intervals before its `max_lag` has passed, as the next tick may be late."""


@dataclass(frozen=True, slots=True)
class Demand:
    """One table: what its loads cost, and what waits.

    priority: the higher, the later it is slowed. every: seconds between two loads as configured, at least a tick.
    period: seconds between two reads. max_lag: None: a day. arrivals: None: not known. load: the time of one load.
    waiting_since: when the first of the changes that wait was read; None: nothing waits. waiting_rows: their number.
    staged: what waits is known; if not, it waits in the source, and perhaps there is nothing.
    """

    table: str
    priority: int = 1
    every: float = 120.0
    period: float = 120.0
    max_lag: float | None = None
    arrivals: Arrivals | None = None
    load: LoadTime = TYPICAL
    waiting_since: float | None = None
    waiting_rows: float = 0.0
    staged: bool = True

    @property
    def load_seconds(self) -> float:
        """Expected seconds of loading what waits."""
        return self.load.fixed + self.load.per_row * self.waiting_rows

    def longest_wait(self, interval: float) -> float:
        """Seconds that a change may wait after it was read."""
        return (self.max_lag or DAY) - self.period - TICKS_AHEAD * interval

    def must_load(self, now: float, interval: float) -> bool:
        """True if the next tick may be too late for the `max_lag` of what waits. A clock that went back tells nothing
        about how long it has waited."""
        if self.waiting_since is None:
            return False
        clock_went_back = self.max_lag is not None and self.waiting_since > now + interval
        return clock_went_back or now - self.waiting_since >= self.longest_wait(interval)


@dataclass(frozen=True, slots=True)
class Account:
    """The day's credits at `now`.

    limit: of a day; None: no limit. spent: since midnight (UTC). awake_until: when the warehouse is suspended.
    quiet_until: end of the quiet hours that contain `now`. quiet: the part of each hour from `now` to midnight that is
    quiet. parallel: tables that load at the same time.
    """

    now: float
    interval: float
    limit: float | None
    spent: float = 0.0
    warehouse: Warehouse = field(default_factory=Warehouse)
    awake_until: float = 0.0
    quiet_until: float | None = None
    quiet: Sequence[float] = ()
    parallel: int = 4

    @property
    def midnight(self) -> float:
        """The end of the day."""
        return (self.now // DAY + 1) * DAY

    @property
    def left(self) -> float:
        """Credits that are not spent."""
        return math.inf if self.limit is None else self.limit - self.spent

    def credits_of(self, seconds: float) -> float:
        """Credits of loading for so many seconds now."""
        awake = self.awake_until - self.now
        if awake <= 0:
            return self.warehouse.credits_of_wake(seconds)
        return max(0.0, seconds + self.warehouse.idle_seconds - awake) * self.warehouse.credits_per_second


@dataclass(frozen=True, slots=True)
class Pace:
    """A table that is slowed. load_every: seconds between its loads. configured: without the budget. why: the reason.
    until: when this ends at the latest, unless it is decided again. next_load: when its next load is expected. held:
    nothing is loaded before `until`, except to keep a `max_lag`."""

    load_every: float
    configured: float
    why: str
    until: float
    next_load: float
    held: bool = False

    def accepted_wait(self, max_lag: float | None) -> float:
        """Seconds that changes may wait without anything being wrong."""
        return min(DAY if self.held else self.load_every, DAY if max_lag is None else max_lag)

    @property
    def text(self) -> str:
        """In words, without the table's name."""
        if self.held:
            return f"waits until {clock(self.until)}: {self.why}"
        often, usual = format_duration(self.load_every), format_duration(self.configured)
        return f"loads every {often} instead of {usual} until {clock(self.until)}: {self.why}"


@dataclass(frozen=True, slots=True)
class BudgetPlan:
    """paces: the slowed tables. loads: tables whose waiting changes are loaded now. held: nothing is loaded that can
    wait, until this moment. forecast: credits of the whole day, with these paces. least: with every table slowed as
    far as its `max_lag` allows. conflict: why the budget cannot be kept; None: it can."""

    paces: Mapping[str, Pace] = field(default_factory=dict)
    loads: frozenset[str] = frozenset()
    held: float | None = None
    forecast: float = 0.0
    least: float = 0.0
    conflict: str | None = None


def clock(moment: float) -> str:
    """The time of the day, such as `06:00 UTC`."""
    return f"{datetime.fromtimestamp(moment, UTC):%H:%M} UTC"
