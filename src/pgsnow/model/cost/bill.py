"""The parts of a bill beside warehouse time: cloud services, and storage of content that was replaced.

Snowflake docs, "Understanding compute cost" (cloud services), "Storage costs for Time Travel and Fail-safe".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

FREE_SHARE = 0.1
"""Cloud services are free up to this share of the warehouse credits of the same day (UTC), of the whole account."""
FAIL_SAFE_DAYS = 7
"""Days for which a permanent table's replaced content is stored after Time Travel; a transient table has none."""
TERABYTE = 1024.0**4


def cloud_services_billed(used: float, compute: float) -> float:
    """Credits of cloud services that are billed on a day with so many warehouse credits."""
    return max(0.0, used - FREE_SHARE * compute)


def billed_by_day(days: Sequence[tuple[float, float]]) -> float:
    """Credits of cloud services that are billed over days with (cloud services, warehouse credits): what one day
    leaves free does not help another."""
    return sum(cloud_services_billed(used, compute) for used, compute in days)


def replaced_bytes(size: float, replaces_a_day: float, time_travel_days: float, *, transient: bool) -> float:
    """Bytes of old content that are stored at any time for a table of this size whose content is replaced so often:
    each version for the days of Time Travel, and of Fail-safe if the table is permanent."""
    kept = min(time_travel_days, 1) if transient else time_travel_days + FAIL_SAFE_DAYS
    return size * replaces_a_day * kept


@dataclass(frozen=True, slots=True)
class Bill:
    """Credits of a period. compute: of the warehouse. services: of cloud services, as used. services_billed: the part
    of them that is not free."""

    compute: float
    services: float
    services_billed: float

    @classmethod
    def of_day(cls, compute: float, statements: float, credits_per_1000: float) -> Bill:
        """The bill of a day with so many statements, of an account that does nothing else."""
        used = statements * credits_per_1000 / 1000
        return cls(compute, used, cloud_services_billed(used, compute))

    @property
    def credits(self) -> float:
        """All credits that are billed."""
        return self.compute + self.services_billed
