"""The `budget:` section: credits a day that loads may use, and hours in which no warehouse is resumed
(docs/budget.md)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from pgsnow.model.config.field_types import Positive, display
from pgsnow.model.config.interpolation import Expanded
from pgsnow.model.config.options import TimeZone

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CLOCK = re.compile(r"([01]?\d|2[0-4]):([0-5]\d)")
_MINUTES = 24 * 60
_MOST_WINDOWS = 500
"""Windows that may follow each other without a gap: more than a week has, if each is short."""


def _clock(value: object) -> int:
    """Minutes since midnight, from `22:00`; YAML 1.1 reads that as the number of minutes if it is not quoted."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MINUTES:
        return value
    found = _CLOCK.fullmatch(str(value)) if isinstance(value, (str, Expanded)) else None
    minutes = int(found[1]) * 60 + int(found[2]) if found else -1
    if not 0 <= minutes <= _MINUTES:
        raise ValueError(f'{display(value)} is not a time of the day — write one such as "22:00"')
    return minutes


def _days(value: object) -> tuple[str, ...]:
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, (list, tuple)) or not given:
        raise ValueError(f"{display(value)} is not a list of days — write some of {', '.join(WEEKDAYS)}")
    found = tuple(str(day).lower()[:3] if isinstance(day, str) else "" for day in given)
    for day, short in zip(given, found, strict=True):
        if short not in WEEKDAYS:
            raise ValueError(f"{display(day)} is not a day — write some of {', '.join(WEEKDAYS)}")
    return tuple(day for day in WEEKDAYS if day in found)


Clock = Annotated[
    int,
    BeforeValidator(_clock),
    PlainSerializer(lambda minutes: f"{minutes // 60:02}:{minutes % 60:02}"),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": _CLOCK.pattern}, {"type": "integer"}]}),
]
Days = Annotated[
    tuple[str, ...],
    BeforeValidator(_days),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"enum": list(WEEKDAYS)}}]}),
]


class QuietHours(BaseModel):
    """A window of the day in which no warehouse is resumed, except to keep a `max_lag`."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    begin: Clock = Field(alias="from")
    """Time of the day at which the window begins."""
    end: Clock = Field(alias="to")
    """Time of the day at which it ends; on the next day if it is not later than `from`."""
    days: Days = WEEKDAYS
    """Days on which it begins."""
    time_zone: TimeZone = "UTC"
    """Time zone of these times and days."""

    @cached_property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    def end_after(self, now: datetime) -> datetime | None:
        """The end of the window that contains this moment; None: none does. Where clocks are changed, the window
        begins and ends by the clock on the wall."""
        local = now.astimezone(self._zone)
        for back in (0, 1):
            day = local.date() - timedelta(days=back)
            if WEEKDAYS[day.weekday()] not in self.days:
                continue
            midnight = datetime.combine(day, time(), self._zone)
            begins = (midnight + timedelta(minutes=self.begin)).astimezone(UTC)
            days = int(self.end <= self.begin)
            ends = (midnight + timedelta(days=days, minutes=self.end)).astimezone(UTC)
            if begins <= now < ends:
                return ends
        return None


class BudgetConfig(BaseModel):
    """A limit for the costs of loads. Rows are read and staged in each tick in any case."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    credits_per_day: Positive | None = None
    """Estimated credits that loads may use in a day (UTC), of all workers together; not set: no limit."""
    quiet_hours: tuple[QuietHours, ...] = ()
    """Windows in which no warehouse is resumed, except to keep a `max_lag`."""

    @field_validator("quiet_hours", mode="before")
    @classmethod
    def _as_list(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            return (value,)
        if not isinstance(value, (list, tuple)):
            raise ValueError(f'{display(value)} is no list — write `[{{from: "22:00", to: "06:00"}}]`')
        return value

    @model_validator(mode="after")
    def _leaves_time(self) -> BudgetConfig:
        if self.credits_per_day is None and not self.quiet_hours:
            raise ValueError("says nothing — write `credits_per_day:`, `quiet_hours:` or both")
        monday = datetime(2024, 1, 1, tzinfo=UTC)
        if (self.quiet_until(monday) or monday) - monday > timedelta(days=8):
            raise ValueError("quiet_hours leave no time for a load — shorten one of them")
        return self

    def quiet_until(self, now: datetime) -> datetime | None:
        """When the quiet hours that contain this moment end, windows that follow without a gap included; None: it is
        in none."""
        found: datetime | None = None
        for _ in range(_MOST_WINDOWS):
            ends = [end for window in self.quiet_hours if (end := window.end_after(found or now))]
            if not ends:
                return found
            found = max(ends)
        return found

    def quiet_shares(self, now: datetime, until: datetime) -> tuple[float, ...]:
        """The part of each hour from `now` to `until` that is quiet, the first and the last hour in part."""
        marks = hour_marks(now, until)
        return tuple(self._quiet_share(since, to) for since, to in pairwise(marks))

    def _quiet_share(self, since: datetime, to: datetime) -> float:
        if not self.quiet_hours:
            return 0.0
        parts = [since + (to - since) * (part + 0.5) / 4 for part in range(4)]
        return sum(self.quiet_until(moment) is not None for moment in parts) / 4


def hour_marks(now: datetime, until: datetime) -> Sequence[datetime]:
    """`now`, each full hour between, and `until`."""
    hour = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    marks = [now]
    while hour < until:
        marks.append(hour)
        hour += timedelta(hours=1)
    return [*marks, until]
