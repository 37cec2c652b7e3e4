"""Certificates are read back as they were stored, and a continuous comparison is spread over its time."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgsnow.model.comparison.certificate import (
    BY_SCHEDULE,
    SLACK,
    Certificate,
    ComparisonMethod,
    OpenDifferences,
    Round,
    Verification,
)
from tests.examples import examples

WEEK = 7 * 86_400.0
START = 1_700_000_000.0


def at(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()


def certificate(method: ComparisonMethod = ComparisonMethod.CONTENT, **changes: Any) -> Certificate:
    return replace(Certificate(method, BY_SCHEDULE, at(START), at(START + 60), 77, 5, 2), **changes)


FULL = Verification(
    {ComparisonMethod.CONTENT: certificate(without=("profile",))},
    Round(certificate(), 3, 8, "shape", (("1", "a"),), START),
    OpenDifferences({"missing": 2, "changed": 1}, at(START), ("1, a", "2, b")),
)


def test_what_is_stored_is_read_back() -> None:
    assert Verification.from_json(json.loads(json.dumps(FULL.to_json()))) == FULL
    assert Verification.from_json(None) == Verification()


@given(st.recursive(st.none() | st.text(max_size=3) | st.integers(), lambda x: st.lists(x, max_size=2)))
def test_a_damaged_object_counts_as_an_empty_one(rubbish: Any) -> None:
    """It decides nothing about rows, so it must stop no run and no status."""
    without = {
        "certificates": replace(FULL, certificates={}),
        "round": replace(FULL, round=None),
        "differences": replace(FULL, differences=None),
    }
    for part, rest in without.items():
        assert Verification.from_json(FULL.to_json() | {part: rubbish}) in (Verification(), rest)
    assert Verification.from_json(rubbish) == Verification()


def test_a_comparison_closes_only_the_differences_that_it_could_have_seen() -> None:
    keys = FULL.certified(certificate(ComparisonMethod.KEYS), None).differences
    assert keys is not None
    assert keys.counts == {"changed": 1}
    assert FULL.certified(certificate(ComparisonMethod.SAMPLE), None).differences == FULL.differences
    assert FULL.certified(certificate(), None).differences is None


@pytest.mark.parametrize("of", [1, 190])
@settings(max_examples=examples(8))
@given(st.integers(600, 40_000))
def test_a_busy_table_is_compared_once_within_its_time(of: int, interval: int) -> None:
    """Each tick compares what is due; the round ends in time, and the next one begins `verify_every` after it."""
    runs, done = compared(of, float(interval), awake=True)
    assert done == of
    assert runs <= of
    ended = replace(Verification(), certificates={ComparisonMethod.CONTENT: certificate()})
    assert not ended.is_due(WEEK, START + WEEK - 1, awake=True)
    assert ended.is_due(WEEK, START + WEEK, awake=False)


@pytest.mark.parametrize("of", [1, 7, 190])
def test_an_idle_table_wakes_the_warehouse_a_few_times_a_round(of: int) -> None:
    runs, done = compared(of, 120.0, awake=False)
    assert done == of
    assert runs <= 1 / SLACK + 2


def compared(of: int, interval: float, *, awake: bool) -> tuple[int, int]:
    """The number of runs that compare, and of the ranges that are compared, in the ticks of `verify_every`."""
    runs, done, now = 0, 0, START
    while now <= START + WEEK and done < of:
        so_far = certificate() if runs else None
        state = Verification(round=Round(so_far, done, of, "s") if so_far else None)
        if state.is_due(WEEK, now, awake=awake):
            planned = min((now - START) / (WEEK * 0.9), 1.0)
            done = min(max(math.ceil(planned * of), done + 1), of)
            runs += 1
        now += interval
    return runs, done


def test_a_suspect_makes_a_comparison_due_once_deleted_rows_were_searched_for() -> None:
    state = Verification(round=replace(FULL.round or Round(certificate(), 8, 8, "s"), done=8))
    assert not state.is_due(WEEK, START + 60, awake=True, swept_at=START - 1)
    assert state.is_due(WEEK, START + 60, awake=False, swept_at=START + 30)


def test_without_verify_every_nothing_is_due() -> None:
    assert not Verification().is_due(0.0, START, awake=True)
