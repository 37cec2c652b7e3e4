"""Axes have round values that hold every value, and never more labels than fit on a phone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgsnow.integrations.fastapi.charts.scale import (
    TIME_LABELS,
    TimeSpan,
    count_ticks,
    duration_label,
    duration_ticks,
    time_ticks,
)

NOON = datetime(2026, 3, 10, 12, 7, tzinfo=UTC)


@given(st.floats(0, 1e15))
def test_ticks_of_counts_hold_the_highest_and_are_few(highest: float) -> None:
    ticks = count_ticks(highest)
    assert ticks[0] == 0
    assert ticks[-1] >= highest * 0.999
    assert 2 <= len(ticks) <= 5
    assert len(ticks) == 2 or ticks[-2] < highest  # no empty part at the top


@given(st.floats(0, 1e9))
def test_ticks_of_durations_hold_the_highest_and_are_few(highest: float) -> None:
    ticks = duration_ticks(highest)
    assert ticks[0] == 0
    assert ticks[-1] >= highest * 0.999
    assert 2 <= len(ticks) <= 5


@pytest.mark.parametrize(
    ("highest", "ticks"), [(0, [0, 1]), (3, [0, 1, 2, 3]), (7, [0, 5, 10]), (1200, [0, 500, 1000, 1500])]
)
def test_counts_are_whole_and_round(highest: float, ticks: list[float]) -> None:
    assert count_ticks(highest) == ticks


@pytest.mark.parametrize(
    ("highest", "labels"),
    [
        (100, ["0", "1 min", "2 min"]),
        (12, ["0", "5 s", "10 s", "15 s"]),
        (4 * 3600, ["0", "2 h", "4 h"]),
        (5 * 86400, ["0", "2 d", "4 d", "6 d"]),
        (0, ["0", "0.5 s", "1 s"]),
    ],
)
def test_durations_are_round_in_the_unit_that_people_read(highest: float, labels: list[str]) -> None:
    assert [duration_label(tick) for tick in duration_ticks(highest)][: len(labels)] == labels


@given(st.integers(0, 86400), st.floats(60, 400 * 86400))
def test_moments_are_full_and_inside_the_span(offset: int, seconds: float) -> None:
    span = TimeSpan(NOON + timedelta(seconds=offset), NOON + timedelta(seconds=offset + seconds))
    ticks = time_ticks(span)
    assert len(ticks) <= TIME_LABELS
    assert all(span.start <= tick <= span.end and tick.second == 0 for tick in ticks)


def test_a_day_has_labels_at_full_hours_and_a_week_at_midnight() -> None:
    day = time_ticks(TimeSpan(NOON - timedelta(hours=24), NOON))
    week = time_ticks(TimeSpan(NOON - timedelta(days=7), NOON))
    assert [f"{tick:%d %H:%M}" for tick in day] == [
        "09 18:00", "10 00:00", "10 06:00", "10 12:00",
    ]  # fmt: skip
    assert [f"{tick:%d %H:%M}" for tick in week] == [f"{day:02} 00:00" for day in range(4, 11)]


@given(st.integers(-10_000, 10_000))
def test_a_moment_outside_the_span_is_placed_at_its_edge(seconds: int) -> None:
    span = TimeSpan(NOON, NOON + timedelta(hours=1))
    assert 0 <= span.share(NOON + timedelta(seconds=seconds)) <= 1
