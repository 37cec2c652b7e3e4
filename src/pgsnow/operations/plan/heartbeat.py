"""Cost of `heartbeat_every`, for the plan."""

from __future__ import annotations

from pgsnow.model.config.cost import CREDITS_PER_HOUR
from pgsnow.model.config.sync_config import SyncConfig
from pgsnow.model.duration import format_duration

SHORTEST_SECONDS = 60
"""Seconds that are paid for at least when a warehouse is resumed (Snowflake docs, "Warehouse credit usage")."""
DAY = 86_400


def heartbeat_cost(config: SyncConfig) -> str | None:
    """A sentence about the most that heartbeats between loads cost a day: each wakes a warehouse that sleeps. None if
    none are written."""
    every = max(config.heartbeat_every, config.sync_interval_seconds)
    if not config.heartbeat_table or config.heartbeat_every <= 0:
        return None
    awake = min(every, max(SHORTEST_SECONDS, config.cost.auto_suspend_seconds))
    times = DAY / every
    credits = times * awake / 3600 * CREDITS_PER_HOUR[config.cost.warehouse_size]
    price = config.cost.credit_price
    costs = f"{credits:.2f} credits" + (f" ({credits * price:.2f})" if price is not None else "")
    return (
        f"heartbeat_every: {format_duration(config.heartbeat_every)} resumes the warehouse up to {times:.0f} times a"
        f" day if nothing else does, about {costs}; a heartbeat with a load costs a login and one statement more"
    )
