"""The charts of a table's page, from its history: lag, rows by operation, phases of a run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from math import ceil
from typing import NamedTuple

from markupsafe import Markup

from pgsnow.integrations.fastapi.charts.bars import StackedBar, bar_chart, highest
from pgsnow.integrations.fastapi.charts.frame import Axis, ChartText
from pgsnow.integrations.fastapi.charts.line import LinePoint, line_chart
from pgsnow.integrations.fastapi.charts.phases import PhasePart, phase_bar, phase_parts
from pgsnow.integrations.fastapi.charts.scale import (
    TimeSpan,
    count_ticks,
    duration_label,
    duration_ticks,
)
from pgsnow.integrations.fastapi.charts.svg import clock, compact
from pgsnow.model.duration import approximate_duration
from pgsnow.operations.status.run_detail import RunSummary
from pgsnow.operations.status.series import RowsBar, Span
from pgsnow.operations.status.table_detail import TableDetail

KINDS = ("inserted", "updated", "deleted", "rejected")
HOURLY = 5400.0
"""Points of a week stand for an hour each: two of them that are further apart, in seconds, are no neighbours."""
STEPS = 120
"""Parts of the span in which its end moves: 30 s of an hour, 12 min of a day."""


class TableChart(NamedTuple):
    """A chart and its summary in a sentence. svg is empty if there is nothing to draw."""

    svg: Markup
    summary: str


def lag_chart(detail: TableDetail) -> TableChart:
    """The lag over the span. The line has gaps where no run ended within the time after which a table is stuck, and
    ends with the newest run: the page shows the lag of now beside it."""
    points = [LinePoint(point.at, point.seconds) for point in detail.series.lag if point.at < detail.now]
    known = [(point.value, point.at) for point in points if point.value is not None]
    if not known:
        return TableChart(Markup(""), "No run in this time.")
    worst, at = max(known)
    newest, highest_lag = approximate_duration(known[-1][0]), approximate_duration(worst)
    summary = f"{newest} after the newest run, at worst {highest_lag} ({clock(at)})."
    drawn = line_chart(
        ChartText("lag", f"Lag of {detail.line.name}", summary),
        points,
        _span(detail),
        Axis(duration_ticks(worst), duration_label),
        now=detail.now,
        gap_seconds=max(detail.line.behind_after, HOURLY if detail.span is Span.WEEK else 1.0),
        told=approximate_duration,
    )
    return TableChart(drawn, summary)


def rows_chart(detail: TableDetail) -> TableChart:
    """Rows by operation over the span, as stacked bars of equal width."""
    bars = [_bar(bar) for bar in detail.series.rows]
    totals = row_totals(detail.series.rows)
    changed = ", ".join(f"{totals[kind]:,} {kind}" for kind in KINDS if totals[kind])
    if not changed:
        return TableChart(Markup(""), "No rows changed in this time.")
    axis = Axis(count_ticks(highest(bars)), compact)
    text = ChartText("rows", f"Rows of {detail.line.name}", changed)
    return TableChart(bar_chart(text, bars, _span(detail), axis, kinds=KINDS), changed)


def phases_chart(run: RunSummary) -> tuple[TableChart, list[PhasePart]]:
    """The phases of a run as a bar, and its parts for a legend."""
    parts = phase_parts({phase.name: phase.seconds for phase in run.phases}, run.seconds)
    summary = ", ".join(f"{part.name} {approximate_duration(part.seconds)}" for part in parts)
    return TableChart(phase_bar(ChartText("phases", "Phases of the run", summary), parts), summary), parts


def row_totals(bars: Sequence[RowsBar]) -> dict[str, int]:
    """Rows of all bars by operation."""
    return {kind: sum(getattr(bar.rows, kind) for bar in bars) for kind in KINDS}


def _bar(bar: RowsBar) -> StackedBar:
    counts = {kind: getattr(bar.rows, kind) for kind in KINDS}
    return StackedBar(bar.at, bar.at + timedelta(seconds=bar.width), counts)


def _span(detail: TableDetail) -> TimeSpan:
    """The span up to the next full step, so that a chart without new data stays the same for a while, and the page's
    tag with it."""
    step = detail.span.length.total_seconds() / STEPS
    end = datetime.fromtimestamp(ceil(detail.now.timestamp() / step) * step, detail.now.tzinfo)
    return TimeSpan(end - detail.span.length, end)
