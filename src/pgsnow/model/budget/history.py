"""When changes of a table arrive, from the runs of the last days, by hour of the day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pgsnow.model.cost.forecast import HOURS, Arrivals

UNKNOWN = Arrivals.steady(0.5)
"""A table without history, until its first hour has passed: every other tick finds changes."""
WHOLE_WEIGHT = 10
"""Runs of an hour of the day from which on they are believed alone; with fewer, the mean of all hours is added."""


@dataclass(frozen=True, slots=True)
class HourOfDay:
    """Runs that ended in one hour of the day, of all days together. busy: those with changes. rows: that they read."""

    busy: float = 0.0
    runs: float = 0.0
    rows: float = 0.0


def arrivals_of(hours: Mapping[int, HourOfDay], period: float) -> Arrivals | None:
    """Arrivals by hour of the day (UTC); hours of which little is known are like the mean of the others. period:
    seconds between two runs. None: nothing is known."""
    runs = sum(hour.runs for hour in hours.values())
    if runs <= 0:
        return None
    usual = sum(hour.busy for hour in hours.values()) / runs
    usual_rows = sum(hour.rows for hour in hours.values()) / runs
    quiet: list[float] = []
    rows: list[float] = []
    for number in range(HOURS):
        found = hours.get(number, HourOfDay())
        lacking = max(0.0, WHOLE_WEIGHT - found.runs)
        together = found.runs + lacking
        quiet.append(1 - (found.busy + lacking * usual) / together)
        rows.append((found.rows + lacking * usual_rows) / together * 3600 / period)
    return Arrivals(tuple(quiet), tuple(rows), period)
