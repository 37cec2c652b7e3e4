"""Seconds for which a warehouse is billed: it is awake from its resumption until it is suspended.

Snowflake docs, "Understanding compute cost" (by the second, at least a minute each time it is resumed), "Overview of
warehouses" (credits per hour of each size), "CREATE WAREHOUSE" (AUTO_SUSPEND).
"""

from __future__ import annotations

from dataclasses import dataclass

from pgsnow.model.config.cost import CREDITS_PER_HOUR, CostConfig, WarehouseSize
from pgsnow.model.report import SHORTEST_USE

SUSPEND_LAG_SECONDS = float(CostConfig().suspend_lag_seconds)
"""Mean time from the end of AUTO_SUSPEND until the suspension: Snowflake looks about every 30 seconds."""


def awake_seconds(seconds: float, auto_suspend: float, suspend_lag: float = SUSPEND_LAG_SECONDS) -> float:
    """Seconds that are billed if a suspended warehouse works once for so many seconds."""
    return max(SHORTEST_USE.total_seconds(), seconds + auto_suspend + suspend_lag)


def credits_of_wake(
    seconds: float, size: WarehouseSize, auto_suspend: float, suspend_lag: float = SUSPEND_LAG_SECONDS
) -> float:
    """Credits that are billed if a suspended warehouse works once for so many seconds."""
    return awake_seconds(seconds, auto_suspend, suspend_lag) * CREDITS_PER_HOUR[size] / 3600


@dataclass(frozen=True, slots=True)
class Warehouse:
    """A warehouse of one cluster. auto_suspend, suspend_lag: seconds. hourly: credits of an hour; None: those of a
    standard warehouse of its size."""

    size: WarehouseSize = WarehouseSize.XSMALL
    auto_suspend: float = 60.0
    suspend_lag: float = SUSPEND_LAG_SECONDS
    hourly: float | None = None

    @classmethod
    def from_config(cls, cost: CostConfig) -> Warehouse:
        """The warehouse that the `cost:` section describes."""
        return cls(
            cost.warehouse_size, cost.auto_suspend_seconds, cost.suspend_lag_seconds, cost.credits_per_hour
        )

    @property
    def idle_seconds(self) -> float:
        """Seconds for which it stays awake after a statement."""
        return self.auto_suspend + self.suspend_lag

    @property
    def credits_per_second(self) -> float:
        return (self.hourly or CREDITS_PER_HOUR[self.size]) / 3600

    def awake_seconds(self, seconds: float) -> float:
        """Seconds that are billed if it is resumed and works for so many seconds."""
        return awake_seconds(seconds, self.auto_suspend, self.suspend_lag)

    def credits_of_wake(self, seconds: float) -> float:
        """Credits that are billed if it is resumed and works for so many seconds."""
        return self.awake_seconds(seconds) * self.credits_per_second
