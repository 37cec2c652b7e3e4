"""Cost of `heartbeat_every`, for the plan."""

from __future__ import annotations

from pgsnow.model.config.sync_config import SyncConfig
from pgsnow.model.cost.warehouse import Warehouse
from pgsnow.model.duration import format_duration

DAY = 86_400
STATEMENT_SECONDS = 0.5
"""Duration of the MERGE of one row."""


def heartbeat_cost(config: SyncConfig) -> str | None:
    """A sentence about the most that heartbeats between loads cost a day: each wakes a warehouse that sleeps. None if
    none are written."""
    every = max(config.heartbeat_every, config.sync_interval_seconds)
    if not config.heartbeat_table or config.heartbeat_every <= 0:
        return None
    warehouse, times = Warehouse.from_config(config.cost), DAY / every
    credits = times * min(every, warehouse.awake_seconds(STATEMENT_SECONDS)) * warehouse.credits_per_second
    price = config.cost.credit_price
    costs = f"{credits:.2f} credits" + (f" ({credits * price:.2f})" if price is not None else "")
    return (
        f"heartbeat_every: {format_duration(config.heartbeat_every)} resumes the warehouse up to {times:.0f} times a"
        f" day if nothing else does, about {costs}; a heartbeat with a load costs a login and one statement more"
    )
