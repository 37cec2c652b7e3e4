"""Round values for the axes of a chart."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_SECONDS = (
    0.1,
    0.2,
    0.5,
    1,
    2,
    5,
    10,
    20,
    30,
    60,
    120,
    300,
    600,
    1200,
    1800,
    3600,
    7200,
    10800,
    21600,
    43200,
    86400,
)
"""Steps between two durations that people read as round; above a day, round numbers of days follow."""
_TIMES = (60, 300, 900, 1800, 3600, 10800, 21600, 43200, 86400)
"""Steps between two moments, in seconds; each divides a day, so that labels fall on full minutes, hours and days."""
TIME_LABELS = 8
"""Labels of the time axis at most; as many fit beside each other on a phone."""


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """Time that a chart shows, from `start` to `end`, both aware."""

    start: datetime
    end: datetime

    @property
    def seconds(self) -> float:
        return max((self.end - self.start).total_seconds(), 1.0)

    def share(self, moment: datetime) -> float:
        """Place of the moment in the span: 0 at its start, 1 at its end, and never outside."""
        return min(max((moment - self.start).total_seconds() / self.seconds, 0.0), 1.0)


def count_ticks(highest: float, about: int = 3) -> list[float]:
    """Round counts from 0 to at least `highest`: steps of 1, 2 or 5 times a power of ten, and never below 1."""
    rough = max(highest, 1.0) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = max(next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999), 1.0)
    return _multiples(step, highest)


def duration_ticks(highest: float, about: int = 3) -> list[float]:
    """Round durations from 0 to at least `highest`, in seconds: 5 s, 30 s, 10 min, 6 h, 2 d and the like."""
    highest = max(highest, 1.0)
    rough = highest / about
    step = next((step for step in _SECONDS if step >= rough * 0.999), None)
    if step is None:
        step = (count_ticks(highest / 86400, about)[1]) * 86400
    return _multiples(step, highest)


def time_ticks(span: TimeSpan) -> list[datetime]:
    """Full minutes, hours or days (UTC) inside the span, at most TIME_LABELS."""
    step = next((step for step in _TIMES if span.seconds / step < TIME_LABELS), None)
    if step is None:
        step = 86400 * math.ceil(span.seconds / 86400 / (TIME_LABELS - 1))
    midnight = span.start.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    first = math.ceil((span.start - midnight).total_seconds() / step)
    last = math.floor((span.end - midnight).total_seconds() / step)
    return [midnight + timedelta(seconds=number * step) for number in range(first, last + 1)]


def duration_label(seconds: float) -> str:
    """Shortest text of a round duration: `0`, `30 s`, `10 min`, `6 h`, `2 d`."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s" if seconds else "0"


def _multiples(step: float, highest: float) -> list[float]:
    """0, step, 2 step, … up to the first that is at least `highest`, and at least one step."""
    count = max(math.ceil(highest / step - 1e-9), 1)
    return [round(step * number, 6) for number in range(count + 1)]
