"""The forecast of a day as a value, and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pgsnow.model.config.cost import CostConfig
from pgsnow.model.cost.bill import TERABYTE, Bill

ASSUMED_BUSY, ASSUMED_ROWS = 0.2, 500.0
"""A table of which nothing is known: the share of its ticks that find changes, and its changed rows an hour."""


@dataclass(frozen=True, slots=True)
class TableForecast:
    """One table's part of an average day. is_measured: from its own history, and not assumed. stored: bytes of
    replaced content that are stored at any time."""

    table: str
    credits: float
    loads: float
    is_measured: bool
    stored: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return {
            "credits_per_day": round(self.credits, 4),
            "loads_per_day": round(self.loads, 1),
            "basis": "history" if self.is_measured else "assumed",
            "replaced_bytes": round(self.stored),
        }


@dataclass(frozen=True, slots=True)
class OtherSetting:
    """Credits of an average day, those of cloud services included, if one setting were changed. tables: that it
    concerns; 0: the warehouse."""

    setting: str
    tables: int
    credits: float

    def to_json(self) -> dict[str, Any]:
        return {"setting": self.setting, "tables": self.tables, "credits_per_day": round(self.credits, 4)}


@dataclass(frozen=True, slots=True)
class DayForecast:
    """An average day of all enabled tables."""

    tables: Mapping[str, TableForecast]
    bill: Bill
    resumes: float
    others: tuple[OtherSetting, ...]
    """Other settings that would change the credits, the cheapest first."""
    cost: CostConfig
    budget: float | None = None
    """Warehouse credits a day that loads may use; tables are slowed if they would use more."""

    @property
    def price(self) -> float | None:
        return self.cost.price_of(self.bill.credits)

    @property
    def stored(self) -> float:
        """Bytes of replaced content that are stored at any time."""
        return sum(table.stored for table in self.tables.values())

    @property
    def stored_price(self) -> float | None:
        """Price of that for a month; None if `storage_price` is not set."""
        price = self.cost.storage_price
        return None if price is None else self.stored / TERABYTE * price

    def to_json(self) -> dict[str, Any]:
        return {
            "credits_per_day": round(self.bill.credits, 4),
            "price_per_day": None if self.price is None else round(self.price, 2),
            "warehouse_credits": round(self.bill.compute, 4),
            "cloud_services_credits": round(self.bill.services, 4),
            "cloud_services_billed": round(self.bill.services_billed, 4),
            "budget_credits_per_day": self.budget,
            "resumes_per_day": round(self.resumes, 1),
            "replaced_bytes": round(self.stored),
            "replaced_price_per_month": None if self.stored_price is None else round(self.stored_price, 2),
            "other_settings": [other.to_json() for other in self.others],
            "tables": {name: table.to_json() for name, table in self.tables.items()},
        }
