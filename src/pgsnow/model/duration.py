"""Durations in text: `30s`, `10m`, `1h30m`, `2d`, or a number of seconds."""

from __future__ import annotations

import math
import re

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_TERM = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d)")
_WHOLE = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?\s*(?:ms|s|m|h|d)\s*)+")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")


def parse_duration(value: object) -> float:
    """Seconds, from a number of seconds or from text such as `1h30m`. Raises ValueError for anything else, and for
    negative values."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = float(value)
    elif isinstance(value, str):
        seconds = _seconds_of(value.strip().lower())
    else:
        raise ValueError("not a duration")
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError("a duration cannot be negative or infinite")
    return seconds


def _seconds_of(text: str) -> float:
    if _NUMBER.fullmatch(text):
        return float(text)
    if not _WHOLE.fullmatch(text):
        raise ValueError("not a duration")
    return math.fsum(float(count) * _UNITS[unit] for count, unit in _TERM.findall(text))


def format_duration(seconds: float) -> str:
    """Short text such as `1h30m`, `250ms` or `0s`, which parse_duration reads back exactly, to the millisecond."""
    left = round(seconds * 1000)
    terms = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, left = divmod(left, size)
        if count:
            terms.append(f"{count}{unit}")
    return "".join(terms) or "0s"


def approximate_duration(seconds: float) -> str:
    """Rounded text that fits a table's cell: `0.4 s`, `12 s`, `3 min`, `2.5 h`, `4 d`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.0f} min"
    if seconds < 2 * 86400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.0f} d"


def clock_text(seconds: float) -> str:
    """Elapsed time as on a stopwatch: `0:42`, `12:05`, `1:00:07`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
