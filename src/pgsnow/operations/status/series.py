"""Series of a table's charts: its lag as a line, its rows as bars, over an hour, a day or a week up to now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from pgsnow.ledger.history.rows import HourRow, LagPoint
from pgsnow.ledger.ledger import Ledger
from pgsnow.operations.status.overview_table import RowCounts


class Span(StrEnum):
    """The time that the charts show, up to now."""

    HOUR = "1h"
    DAY = "24h"
    WEEK = "7d"

    @property
    def length(self) -> timedelta:
        return {"1h": timedelta(hours=1), "24h": timedelta(days=1), "7d": timedelta(days=7)}[self.value]

    @property
    def bar(self) -> timedelta:
        """Width of one bar of rows."""
        return {"1h": timedelta(minutes=5), "24h": timedelta(hours=1), "7d": timedelta(hours=6)}[self.value]


@dataclass(frozen=True, slots=True)
class LagSample:
    """A table's lag at a moment; seconds: None if it was not known: a gap in the line."""

    at: datetime
    seconds: float | None


@dataclass(frozen=True, slots=True)
class RowsBar:
    """Rows of one bar. at: its start; width: its length in seconds. runs: their number; failed: those that ended with
    an error."""

    at: datetime
    width: float
    rows: RowCounts = field(default_factory=RowCounts)
    runs: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class TableSeries:
    """Both series, oldest first. rows: bars without a gap, also where no run was."""

    lag: tuple[LagSample, ...]
    rows: tuple[RowsBar, ...]


def series_of(ledger: Ledger, table: str, lag: float | None, now: datetime, span: Span) -> TableSeries:
    """The series of a table whose lag is `lag` seconds now. An hour and a day are drawn from single runs, a week from
    totals by hour."""
    since = now - span.length
    hours = ledger.history.hours(table, since) if span is not Span.HOUR else []
    points = ledger.history.lags(table, since) if span is not Span.WEEK else []
    samples = _by_hour(hours, since) if span is Span.WEEK else _by_run(points)
    return TableSeries(
        (*samples, LagSample(now, lag)),
        _bars(_runs(points) if span is Span.HOUR else _totals(hours), now, span),
    )


def _by_run(points: Sequence[LagPoint]) -> Iterator[LagSample]:
    """A line of two points for each run: the lag rises up to its end, and falls by what it loaded."""
    for point in points:
        if point.lag_before is not None:
            yield LagSample(point.at, max(point.lag_before, point.lag_seconds or 0.0))
        yield LagSample(point.at, point.lag_seconds)


def _by_hour(hours: Sequence[HourRow], since: datetime) -> Iterator[LagSample]:
    """The worst lag of each hour; a gap for each row of hours without a run."""
    last: datetime | None = None
    for row in hours:
        middle = max(row.hour + timedelta(minutes=30), since)
        if last is not None and row.hour - last > timedelta(hours=1):
            yield LagSample(last + timedelta(hours=1), None)
        yield LagSample(middle, row.worst_lag)
        last = row.hour


def _runs(points: Sequence[LagPoint]) -> Iterator[tuple[datetime, RowsBar]]:
    for point in points:
        rows = RowCounts(point.rows_inserted, point.rows_updated, point.rows_deleted)
        yield point.at, RowsBar(point.at, 0.0, rows, 1, int(point.status == "error"))


def _totals(hours: Sequence[HourRow]) -> Iterator[tuple[datetime, RowsBar]]:
    for row in hours:
        sums = row.totals
        rows = RowCounts(sums.rows_inserted, sums.rows_updated, sums.rows_deleted, sums.rows_rejected)
        yield row.hour, RowsBar(row.hour, 0.0, rows, sum(sums.runs.values()), sums.runs.get("error", 0))


def _bars(parts: Iterator[tuple[datetime, RowsBar]], now: datetime, span: Span) -> tuple[RowsBar, ...]:
    """The parts, added to the bars into which they fall. Bars begin at round times in UTC; the last one contains
    now."""
    width = span.bar.total_seconds()
    last = int(now.timestamp() // width)
    count = int(span.length / span.bar) + 1
    bars = {
        at: RowsBar(datetime.fromtimestamp(at * width, UTC), width)
        for at in range(last - count + 1, last + 1)
    }
    for moment, part in parts:
        at = int(moment.timestamp() // width)
        if at in bars:
            bar = bars[at]
            bars[at] = replace(
                bar, rows=bar.rows.plus(part.rows), runs=bar.runs + part.runs, failed=bar.failed + part.failed
            )
    return tuple(bars.values())
