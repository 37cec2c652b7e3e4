"""Charts are valid SVG that a strict content security policy admits, say in words what they show, and hide nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import isfinite
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from pgsnow.integrations.fastapi.charts.bars import StackedBar, bar_chart, highest
from pgsnow.integrations.fastapi.charts.frame import Axis, ChartText
from pgsnow.integrations.fastapi.charts.line import POINTS, LinePoint, line_chart, segments, thinned
from pgsnow.integrations.fastapi.charts.phases import phase_bar, phase_parts
from pgsnow.integrations.fastapi.charts.scale import TimeSpan, count_ticks, duration_label, duration_ticks
from pgsnow.integrations.fastapi.charts.strip import BARS, run_strip, strip_text
from pgsnow.integrations.fastapi.charts.svg import compact, element, plain
from tests.examples import examples

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
DAY = TimeSpan(NOON - timedelta(hours=24), NOON)
TEXT = ChartText("lag", 'Lag <of> "users"', "between 1 s & 2 s")
KINDS = ("inserted", "updated", "deleted", "rejected")
VALUES = st.one_of(st.none(), st.floats(0, 1e7))


def parsed(svg: Markup) -> ElementTree.Element:
    """The chart as an XML document, without style or script, whose places are all finite numbers."""
    root = ElementTree.fromstring(str(svg))
    for node in root.iter():
        assert node.tag not in {"script", "style"}
        assert not {name for name in node.attrib if name == "style" or name.startswith("on")}
        places = [
            node.get(name, "0").rstrip("%") for name in ("x", "y", "width", "height", "x1", "x2", "y1", "y2")
        ]
        assert all(isfinite(float(place)) for place in places)
    return root


def line(values: Sequence[float | None], minutes: float = 2, gap: float = 400) -> Markup:
    """A chart of the values, `minutes` apart, the last one at the end of the span."""
    points = [
        LinePoint(NOON - timedelta(minutes=minutes * (len(values) - 1 - index)), value)
        for index, value in enumerate(values)
    ]
    axis = Axis(duration_ticks(max((v for v in values if v is not None), default=0)), duration_label)
    return line_chart(TEXT, points, DAY, axis, now=NOON, gap_seconds=gap, told=lambda value: f"{value:.0f} s")


def tips(root: ElementTree.Element, class_: str = "hit") -> list[str]:
    return [node.findtext("title") or "" for node in root.iter("g") if node.get("class") == class_]


def test_a_chart_has_a_name_and_a_description() -> None:
    root = parsed(line([1.0, 2.0]))
    assert root.get("role") == "img"
    assert root.findtext("title") == 'Lag <of> "users"'
    assert root.findtext("desc") == "between 1 s & 2 s"
    assert root.get("aria-labelledby") == "lag-title"


@given(st.lists(VALUES, max_size=60))
def test_any_values_make_valid_svg_and_each_known_value_has_a_tooltip(values: list[float | None]) -> None:
    root = parsed(line(values))
    assert len(tips(root)) == sum(value is not None for value in values)


@given(st.lists(VALUES, max_size=80), st.floats(1, 2000))
def test_a_line_never_bridges_missing_data(values: list[float | None], gap: float) -> None:
    """Each known value is in exactly one piece, in order, and neighbours in a piece are close and known."""
    points = [LinePoint(NOON + timedelta(seconds=300 * index), value) for index, value in enumerate(values)]
    pieces = segments(points, gap)
    assert [point for piece in pieces for point in piece] == [p for p in points if p.value is not None]
    for piece in pieces:
        first = points.index(piece[0])
        assert list(piece) == points[first : first + len(piece)]
        assert all((b.at - a.at).total_seconds() <= gap for a, b in pairwise(piece))


@settings(max_examples=examples(8))
@given(st.lists(st.sampled_from([0, 1, 2, 3, 5, 80, 999]), min_size=POINTS + 1, max_size=5 * POINTS))
def test_many_points_become_few_and_no_peak_and_no_gap_is_lost(values: list[int]) -> None:
    """Each piece of the line keeps its highest point; together they have one point for each part of the span, and one
    more where a piece begins within a part."""
    step = 24 * 3600 / len(values)
    points = [LinePoint(DAY.start + timedelta(seconds=step * i), v or None) for i, v in enumerate(values)]
    pieces = segments(points, 400)
    few = thinned(pieces, DAY)
    assert sum(map(len, few)) <= POINTS + len(pieces)
    assert [max(p.value or 0 for p in piece) for piece in few] == [
        max(p.value or 0 for p in x) for x in pieces
    ]
    assert all(sorted(piece, key=lambda point: point.at) == piece for piece in few)


def test_times_without_runs_are_shaded_and_named() -> None:
    values: list[float | None] = [1.0] * 20 + [None] * 60 + [2.0] * 20
    named = tips(parsed(line(values)), "gap")
    assert named == ["no run from 10 Mar 09:20 to 10 Mar 11:22"]


def test_a_single_point_is_drawn_as_a_dot() -> None:
    path = next(node for node in parsed(line([5.0])).iter("path") if node.get("fill") == "none")
    assert re.fullmatch(r"M1000 [\d.]+h0", path.get("d") or "")


@given(st.lists(st.dictionaries(st.sampled_from(KINDS), st.integers(0, 10**9)), max_size=30))
def test_bars_are_as_high_as_their_counts(counts: list[dict[str, int]]) -> None:
    """The segments of a bar lie on each other without a hole, inside the plot, and the tooltip has the numbers."""
    bars = [
        StackedBar(NOON - timedelta(hours=i + 1), NOON - timedelta(hours=i), count)
        for i, count in enumerate(counts[:24])
    ]
    axis = Axis(count_ticks(highest(bars)), compact)
    root = parsed(bar_chart(TEXT, bars, DAY, axis, kinds=KINDS))
    shown = [bar for bar in bars if bar.total]
    groups = [
        group for group in root.findall("g") if group.find("rect") is not None or group.find("g") is not None
    ]
    assert len(groups) == len(shown)
    for group, bar in zip(groups, shown, strict=True):
        segments_ = group.findall("rect")
        assert len(segments_) == sum(count > 0 for count in bar.counts.values())
        lowest = [float(s.get("y") or 0) + float(s.get("height") or 0) for s in segments_]
        assert all(
            float(s.get("y") or 0) >= 0 and low < 170 for s, low in zip(segments_, lowest, strict=True)
        )
        tip = group.findtext("g/title") or ""
        assert all(f"{count:,} {kind}" in tip for kind, count in bar.counts.items() if count)


@given(
    st.dictionaries(
        st.sampled_from(["read", "put", "merge", "plan", "new-phase", "<b>"]),
        st.floats(0, 1e5),
        max_size=8,
    ),
    st.floats(0, 1e6),
)
def test_the_shares_of_phases_add_up_to_the_run(phases: dict[str, float], seconds: float) -> None:
    parts = phase_parts(phases, seconds)
    assert not parts or sum(part.share for part in parts) == pytest.approx(1)
    assert {name for name, spent in phases.items() if spent > 0} <= {part.name for part in parts}
    if parts:
        parsed(phase_bar(TEXT, parts))


def test_time_that_no_phase_accounts_for_is_shown() -> None:
    parts = phase_parts({"read": 1.0, "plan": 1.0}, 4.0)
    assert [(part.name, part.share) for part in parts] == [("plan", 0.25), ("read", 0.25), ("other", 0.5)]


@given(
    st.lists(st.sampled_from(["ok", "idle", "error", "partial", "locked", "paused", "stopped"]), max_size=40)
)
def test_a_strip_has_one_bar_per_run(statuses: list[str]) -> None:
    """At most the newest 20, however few paths they share, and the text counts the runs that are drawn."""
    root = parsed(run_strip(statuses))
    paths = [node.get("d") or "" for node in root.iter("path")]
    assert sum(path.count("M") for path in paths) == min(len(statuses), BARS)
    assert root.findtext("title") == strip_text(statuses[-BARS:])


def test_a_failure_is_the_tallest_bar_and_no_change_the_lowest() -> None:
    """Colour is not the only difference."""
    heights = {
        status: int(re.findall(r"v(\d+)", str(run_strip([status])))[0])
        for status in ("error", "partial", "ok", "locked", "idle")
    }
    assert sorted(heights, key=heights.__getitem__, reverse=True) == [
        "error",
        "partial",
        "ok",
        "locked",
        "idle",
    ]


def test_text_is_escaped() -> None:
    svg = element("title", "<script>alert(1)</script>", id='"x"')
    assert svg == '<title id="&#34;x&#34;">&lt;script&gt;alert(1)&lt;/script&gt;</title>'


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (950, "950"), (1200, "1.2k"), (15_000, "15k"), (250_000, "250k"), (35e6, "35M"), (2e9, "2G")],
)
def test_counts_on_an_axis_are_short(number: float, text: str) -> None:
    assert compact(number) == text


def test_small_numbers_have_no_minus_and_no_zeros_at_the_end() -> None:
    assert [plain(number) for number in (-0.001, 12.5, 3.0, 0.126)] == ["0", "12.5", "3", "0.13"]
