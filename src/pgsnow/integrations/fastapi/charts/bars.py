"""Counts over time as stacked bars, one colour per kind of count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from pgsnow.integrations.fastapi.charts.frame import Axis, ChartText, chart, grid, labels, zone
from pgsnow.integrations.fastapi.charts.scale import TimeSpan
from pgsnow.integrations.fastapi.charts.svg import clock, element, percent, plain

BREADTH = 0.8
"""Share of its time that a bar fills."""


@dataclass(frozen=True, slots=True)
class StackedBar:
    """Counts of the time from `start` to `end`, by kind."""

    start: datetime
    end: datetime
    counts: Mapping[str, float]

    @property
    def total(self) -> float:
        return sum(self.counts.values())


def bar_chart(
    text: ChartText, bars: Sequence[StackedBar], span: TimeSpan, axis: Axis, *, kinds: Sequence[str]
) -> Markup:
    """kinds: in the order in which they are stacked, from the bottom; a segment has the class `k-<kind>`. A bar
    outside the span is left out, a count of 0 draws nothing."""
    shown = [bar for bar in bars if bar.end > span.start and bar.start < span.end and bar.total > 0]
    drawn = (_bar(bar, span, axis, kinds) for bar in shown)
    return chart(text, grid(axis), *drawn, labels(span, axis))


def _bar(bar: StackedBar, span: TimeSpan, axis: Axis, kinds: Sequence[str]) -> Markup:
    """One bar: its segments, under a zone with the numbers as a tooltip."""
    left, right = span.share(bar.start), span.share(bar.end)
    breadth = (right - left) * BREADTH
    x, width = percent(left + (right - left - breadth) / 2), percent(breadth)
    parts, below = [], 0.0
    for kind in kinds:
        count = bar.counts.get(kind, 0.0)
        if count > 0:
            top, bottom = axis.y(below + count), axis.y(below)
            height = plain(max(bottom - top, 1.0))
            parts.append(element("rect", x=x, width=width, y=plain(top), height=height, class_=f"k-{kind}"))
            below += count
    numbers = ", ".join(f"{bar.counts[kind]:,.0f} {kind}" for kind in kinds if bar.counts.get(kind))
    tip = f"{clock(bar.start)} – {clock(bar.end)}: {numbers}"
    return element("g", *parts, zone(span, bar.start, bar.end, tip))


def highest(bars: Sequence[StackedBar]) -> float:
    """The largest total; 0 without a bar."""
    return max((bar.total for bar in bars), default=0.0)
