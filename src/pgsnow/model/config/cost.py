"""The `cost:` section: what the cost estimates of runs, metrics and pages are computed with (docs/cost.md)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict

from pgsnow.model.config.field_types import FromOne, FromZero, Positive, display


class WarehouseSize(StrEnum):
    """The sizes of a standard warehouse (Snowflake docs, "Overview of warehouses")."""

    XSMALL = "x-small"
    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"
    XLARGE = "x-large"
    XXLARGE = "2x-large"
    XXXLARGE = "3x-large"
    X4LARGE = "4x-large"
    X5LARGE = "5x-large"
    X6LARGE = "6x-large"


CREDITS_PER_HOUR = {size: float(2**step) for step, size in enumerate(WarehouseSize)}
"""One credit for the smallest size, twice as many for each larger one (Snowflake docs, "Warehouse size")."""

CLOCK_SLACK = 3600.0
"""Seconds beyond its idle time by which a warehouse may seem to be awake; if it is more, a clock was set back."""


def _size(value: object) -> WarehouseSize:
    """The size as SHOW WAREHOUSES or CREATE WAREHOUSE writes it: `X-Small`, `XSMALL`."""
    for size in WarehouseSize:
        if str(value).lower().replace("-", "") == size.replace("-", ""):
            return size
    raise ValueError(f"{display(value)} is no warehouse size — write one of {', '.join(WarehouseSize)}")


class CostConfig(BaseModel):
    """Facts about the warehouse. They change the estimates alone, and nothing in Snowflake."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    warehouse_size: Annotated[WarehouseSize, BeforeValidator(_size)] = WarehouseSize.XSMALL
    """Size of the warehouse (`SHOW WAREHOUSES`)."""
    credits_per_hour: Positive | None = None
    """Credits of an hour, where they are not those of a standard warehouse of this size: Gen2, Snowpark-optimized."""
    auto_suspend_seconds: FromOne = 60
    """Its `AUTO_SUSPEND`: seconds without a statement after which it is suspended."""
    suspend_lag_seconds: FromZero = 15
    """Mean seconds after these until it is suspended: Snowflake looks about every 30 seconds."""
    credits_per_1000_statements: Positive = 0.05
    """Credits of cloud services for 1,000 statements. A mean; `pgsnow cost` shows what the account says."""
    time_travel_days: FromZero = 1
    """Days for which replaced content is kept for Time Travel (`DATA_RETENTION_TIME_IN_DAYS`)."""
    credit_price: Positive | None = None
    """Price of a credit, in your currency; without it, costs are shown in credits alone."""
    storage_price: Positive | None = None
    """Price of a terabyte of storage for a month, in your currency."""

    def price_of(self, credits: float) -> float | None:
        """Price of these credits; None if `credit_price` is not set."""
        return None if self.credit_price is None else credits * self.credit_price
