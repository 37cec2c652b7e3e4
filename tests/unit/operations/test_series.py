"""The series behind a table's charts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgsnow.ledger.history.rows import HourRow, LagPoint, Totals
from pgsnow.operations.status.series import Span, series_of

NOW = datetime(2024, 5, 1, 12, 10, tzinfo=UTC)


class Recorded:
    """A ledger with these hours and runs."""

    def __init__(self, hours: Sequence[HourRow] = (), runs: Sequence[LagPoint] = ()) -> None:
        self.history = self
        self._hours = [*hours]
        self._runs = [*runs]

    def hours(self, _table: str, since: datetime) -> list[HourRow]:
        return [hour for hour in self._hours if hour.hour > since - timedelta(hours=1)]

    def lags(self, _table: str, since: datetime) -> list[LagPoint]:
        return [run for run in self._runs if run.at >= since]


def run(at: datetime, rows: int = 1, **fields: Any) -> LagPoint:
    values: dict[str, Any] = {
        "lag_seconds": 5.0,
        "lag_before": 125.0,
        "status": "ok",
        "seconds": 1.0,
    } | fields
    return LagPoint(at=at, rows_inserted=rows, rows_updated=0, rows_deleted=0, **values)


def hour(at: datetime, rows: int = 1, lag: float | None = 60.0) -> HourRow:
    return HourRow("t", at, Totals({"ok": 29, "error": 1}, rows_inserted=rows), lag)


def test_the_lag_rises_until_a_run_loads_and_then_falls() -> None:
    """The line shows the lag that people really had between two runs, not only the good values after them."""
    at = NOW - timedelta(minutes=10)
    found = series_of(Recorded(runs=[run(at)]), "t", 42.0, NOW, Span.HOUR)  # type: ignore[arg-type]
    assert [(sample.at, sample.seconds) for sample in found.lag] == [(at, 125.0), (at, 5.0), (NOW, 42.0)]


def test_hours_without_a_run_are_a_gap() -> None:
    """Where no worker ran, nothing is known: the line is interrupted, and does not connect both sides."""
    early, late = NOW - timedelta(hours=30), NOW - timedelta(hours=2)
    hours = [hour(early.replace(minute=0)), hour(late.replace(minute=0))]
    found = series_of(Recorded(hours), "t", None, NOW, Span.WEEK)  # type: ignore[arg-type]
    assert [sample.seconds for sample in found.lag] == [60.0, None, 60.0, None]


@pytest.mark.parametrize("span", [*Span])
def test_bars_follow_one_another_up_to_now(span: Span) -> None:
    """Also an hour without a run has its bar, so that time passes evenly on the chart."""
    bars = series_of(Recorded(), "t", None, NOW, span).rows  # type: ignore[arg-type]
    width = timedelta(seconds=bars[0].width)
    assert [bar.at for bar in bars] == [bars[0].at + number * width for number in range(len(bars))]
    assert bars[-1].at <= NOW < bars[-1].at + width
    assert bars[0].at <= NOW - span.length


@given(st.lists(st.tuples(st.integers(0, 59), st.integers(0, 1000)), max_size=30))
def test_no_row_is_lost_between_two_bars(runs: list[tuple[int, int]]) -> None:
    """The bars of an hour add up to the rows of its runs, each counted once."""
    points = [run(NOW - timedelta(minutes=ago), rows) for ago, rows in runs]
    bars = series_of(Recorded(runs=points), "t", None, NOW, Span.HOUR).rows  # type: ignore[arg-type]
    assert sum(bar.rows.inserted for bar in bars) == sum(rows for _, rows in runs)
    assert sum(bar.runs for bar in bars) == len(runs)
