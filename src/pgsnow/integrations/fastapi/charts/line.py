"""A value over time as a line, with gaps where nothing is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from markupsafe import Markup

from pgsnow.integrations.fastapi.charts.frame import PLOT, TOP, Axis, ChartText, chart, grid, labels, zone
from pgsnow.integrations.fastapi.charts.scale import TimeSpan
from pgsnow.integrations.fastapi.charts.svg import clock, element, joined, plain

POINTS = 120
"""Points drawn at most: more than a phone has pixels for is only weight."""
SHADE = 0.12
"""Opacity of a gap, and of the area below the line."""
WIDTH = 1000
"""Units of the line's own coordinates across the chart."""


@dataclass(frozen=True, slots=True)
class LinePoint:
    """A value at a moment; value None: it was not known then, and the line has a gap."""

    at: datetime
    value: float | None


def line_chart(
    text: ChartText,
    points: Sequence[LinePoint],
    span: TimeSpan,
    axis: Axis,
    *,
    now: datetime,
    gap_seconds: float,
    told: Callable[[float], str],
) -> Markup:
    """points: in order of time; those outside the span are left out. The line is interrupted where two points, or the
    last one and now, are further apart than gap_seconds, and the chart says so there. told: how a tooltip writes a
    value."""
    whole = segments([point for point in points if span.start <= point.at <= span.end], gap_seconds)
    pieces = thinned(whole, span)
    return chart(
        text,
        grid(axis),
        _gaps(whole, span, now, gap_seconds),
        _lines(pieces, span, axis),
        labels(span, axis),
        *(_hit(span, before, point, after, told) for before, point, after in _neighbours(pieces)),
    )


def thinned(pieces: Sequence[Sequence[LinePoint]], span: TimeSpan) -> list[list[LinePoint]]:
    """The pieces as they are if they have at most POINTS points together. Otherwise each with its highest point of each
    of POINTS parts of the span: no peak is lost, and no gap."""
    if sum(map(len, pieces)) <= POINTS:
        return [list(piece) for piece in pieces]
    return [_peaks(piece, span) for piece in pieces]


def _peaks(piece: Sequence[LinePoint], span: TimeSpan) -> list[LinePoint]:
    highest: dict[int, LinePoint] = {}
    for point in piece:
        place = min(int(span.share(point.at) * POINTS), POINTS - 1)
        if place not in highest or (point.value or 0.0) > (highest[place].value or 0.0):
            highest[place] = point
    return [highest[place] for place in sorted(highest)]


def segments(points: Sequence[LinePoint], gap_seconds: float) -> list[list[LinePoint]]:
    """The points in pieces without a gap: a piece ends before an unknown value, and where the next point is further
    away than gap_seconds."""
    pieces: list[list[LinePoint]] = []
    last: LinePoint | None = None
    for point in points:
        if point.value is not None:
            near = last is not None and (point.at - last.at).total_seconds() <= gap_seconds
            if near:
                pieces[-1].append(point)
            else:
                pieces.append([point])
        last = point if point.value is not None else None
    return pieces


def _lines(pieces: Sequence[Sequence[LinePoint]], span: TimeSpan, axis: Axis) -> Markup:
    """The line and the area below it, in coordinates of their own that are stretched to the chart's width."""
    places = [[_place(point, span, axis) for point in piece] for piece in pieces]
    line = "".join(f"M{'L'.join(piece)}" if len(piece) > 1 else f"M{piece[0]}h0" for piece in places)
    bottom = TOP + PLOT
    area = "".join(
        f"M{piece[0].split()[0]} {bottom}L{'L'.join(piece)}L{piece[-1].split()[0]} {bottom}Z"
        for piece in places
        if len(piece) > 1
    )
    shade = element("path", d=area, fill="currentColor", fill_opacity=SHADE)
    stroke = element(
        "path",
        d=line,
        fill="none",
        stroke="currentColor",
        stroke_width=1.8,
        stroke_linecap="round",
        stroke_linejoin="round",
        vector_effect="non-scaling-stroke",
    )
    return element(
        "svg",
        shade,
        stroke,
        class_="trace",
        width="100%",
        height=TOP + PLOT + 1,
        view_box=f"0 0 {WIDTH} {TOP + PLOT + 1}",
        aspect="none",
    )


def _place(point: LinePoint, span: TimeSpan, axis: Axis) -> str:
    return f"{plain(span.share(point.at) * WIDTH)} {plain(axis.y(point.value or 0.0))}"


def _gaps(pieces: Sequence[Sequence[LinePoint]], span: TimeSpan, now: datetime, widest: float) -> Markup:
    """Shaded zones without data: between two pieces, and after the last. What was before the first is not known."""
    bare = [
        zone(span, left, right, f"no run from {clock(left)} to {clock(right)}", "gap", SHADE)
        for left, right in ((a[-1].at, b[0].at) for a, b in pairwise(pieces))
        if (right - left).total_seconds() > widest
    ]
    if pieces and (now - (last := pieces[-1][-1].at)).total_seconds() > widest:
        bare.append(zone(span, last, span.end, f"no run since {clock(last)}", "gap", SHADE))
    return joined(bare)


def _neighbours(
    pieces: Sequence[Sequence[LinePoint]],
) -> list[tuple[datetime, LinePoint, datetime]]:
    """Each point with the moments half-way to its neighbours in the same piece."""
    return [
        (_middle(piece, index - 1), point, _middle(piece, index))
        for piece in pieces
        for index, point in enumerate(piece)
    ]


def _middle(piece: Sequence[LinePoint], index: int) -> datetime:
    """Half-way from the point with this index to the next; at the ends, the point itself."""
    left, right = piece[max(index, 0)], piece[min(index + 1, len(piece) - 1)]
    return left.at + (right.at - left.at) / 2


def _hit(
    span: TimeSpan, before: datetime, point: LinePoint, after: datetime, told: Callable[[float], str]
) -> Markup:
    least = timedelta(seconds=span.seconds / POINTS / 2)
    left, right = min(before, point.at - least), max(after, point.at + least)
    return zone(span, left, right, f"{clock(point.at)}: {told(point.value or 0.0)}")
