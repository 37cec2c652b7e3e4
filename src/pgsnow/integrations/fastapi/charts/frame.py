"""Parts that the charts over time share: the outer element, grid lines with values, the time axis, and zones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from markupsafe import Markup

from pgsnow.integrations.fastapi.charts.scale import TimeSpan, time_ticks
from pgsnow.integrations.fastapi.charts.svg import element, joined, percent, plain

HEIGHT = 160
"""Pixels of a chart over time."""
TOP, BOTTOM = 8, 22
"""Pixels above and below the plot: half a label of the highest line, and the time axis."""
PLOT = HEIGHT - TOP - BOTTOM


@dataclass(frozen=True, slots=True)
class ChartText:
    """The accessible name of a chart, its summary for those who do not see it, and the id of its element."""

    id: str
    title: str
    summary: str


@dataclass(frozen=True, slots=True)
class Axis:
    """Values of the vertical axis, from 0 upward, and how one is written."""

    ticks: Sequence[float]
    label: Callable[[float], str]

    def y(self, value: float) -> float:
        """Pixels from the top of the chart."""
        return TOP + PLOT * (1 - min(max(value / self.ticks[-1], 0.0), 1.0))


def chart(text: ChartText, *parts: Markup, height: int = HEIGHT, class_: str = "chart timed") -> Markup:
    """The SVG element: an image with a name and a description, as wide as its place. Charts over time have a margin for
    the values of their axis."""
    name, description = f"{text.id}-title", f"{text.id}-desc"
    return element(
        "svg",
        element("title", text.title, id=name),
        element("desc", text.summary, id=description),
        *parts,
        id=text.id,
        class_=class_,
        width="100%",
        height=height,
        role="img",
        aria_labelledby=name,
        aria_describedby=description,
    )


def grid(axis: Axis) -> Markup:
    """A line across the plot for each value of the axis."""
    places = [(axis.y(value), 0.2 if value else 0.45) for value in axis.ticks]
    return joined([_rule("0", "100%", y, y, opacity) for y, opacity in places])


def labels(span: TimeSpan, axis: Axis) -> Markup:
    """The value left of each grid line, in the margin of the class `timed`, and moments below the plot."""
    values = [
        element("text", axis.label(value), x=-8, y=plain(axis.y(value) + 4), text_anchor="end")
        for value in axis.ticks
    ]
    return joined([*values, *(_moment(span, moment) for moment in time_ticks(span))])


def zone(
    span: TimeSpan, start: datetime, end: datetime, tip: str, class_: str = "hit", opacity: float = 0.0
) -> Markup:
    """A rectangle over the plot's whole height from start to end, with a tooltip. Without opacity it is only seen under
    the pointer."""
    left, right = span.share(start), span.share(end)
    place = element(
        "rect",
        x=percent(left),
        width=percent(max(right - left, 0.001)),
        y=TOP,
        height=PLOT,
        fill_opacity=opacity,
    )
    return element("g", element("title", tip), place, class_=class_)


def _rule(x1: str, x2: str, y1: float, y2: float, opacity: float) -> Markup:
    """A thin line in the colour of the labels."""
    return element(
        "line", x1=x1, x2=x2, y1=plain(y1), y2=plain(y2), stroke="currentColor", stroke_opacity=opacity
    )


def _moment(span: TimeSpan, moment: datetime) -> Markup:
    share = span.share(moment)
    anchor = "end" if share > 0.95 else "middle"
    utc = moment.astimezone(UTC)
    label = f"{utc:%-d %b}" if utc.hour == utc.minute == 0 else f"{utc:%H:%M}"
    mark = _rule(percent(share), percent(share), TOP + PLOT, TOP + PLOT + 4, 0.45)
    return mark + element("text", label, x=percent(share), y=HEIGHT - 6, text_anchor=anchor)
