"""Time for which a warehouse is billed because of one run's statements."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgsnow.model.config.cost import CREDITS_PER_HOUR, CostConfig, WarehouseSize
from pgsnow.model.report import SentStatement, Status, TableReport

START = datetime(2026, 3, 1, tzinfo=UTC)
INTERVALS = st.lists(st.tuples(st.integers(0, 900), st.integers(0, 200), st.booleans()), max_size=12)


def run_of(intervals: list[tuple[int, int, bool]]) -> TableReport:
    sent = (
        SentStatement("MERGE", "q", START + timedelta(seconds=at), float(seconds), 1, needs)
        for at, seconds, needs in sorted(intervals)
    )
    return TableReport("t", "T", "r", Status.OK, START, statements=tuple(sent))


def billed(intervals: list[tuple[int, int, bool]], suspend: int) -> set[int]:
    """The same by looking at every second: a warehouse that is resumed, used, and suspended."""
    awake: set[int] = set()
    resumed, until = -1, -1
    for at, seconds, needs in sorted(intervals):
        if needs:
            resumed = at if at > until else resumed
            until = max(until, at + seconds + suspend, resumed + 60)
            awake |= set(range(resumed, until))
    return awake


@given(INTERVALS, st.integers(1, 300))
def test_a_run_is_billed_for_the_seconds_in_which_the_warehouse_is_awake(
    intervals: list[tuple[int, int, bool]], suspend: int
) -> None:
    """However statements overlap or follow one another: a second is billed once, at least a minute each time."""
    found = run_of(intervals).warehouse_use(suspend)
    expected = billed(intervals, suspend)
    if found is None:
        assert not expected
        return
    assert found.awake_seconds == len(expected)
    assert found.since == START + timedelta(seconds=min(expected))
    assert found.until == START + timedelta(seconds=max(expected) + 1)


@pytest.mark.parametrize("text", ["x-small", "X-Small", "XSMALL"])
def test_a_size_may_be_written_as_snowflake_writes_it(text: str) -> None:
    """The size can be copied from SHOW WAREHOUSES or from CREATE WAREHOUSE."""
    assert CostConfig.model_validate({"warehouse_size": text}).warehouse_size is WarehouseSize.XSMALL


def test_credits_double_with_each_size() -> None:
    """From 1 credit an hour for X-Small to 512 for 6X-Large, as Snowflake's price list has it."""
    assert CREDITS_PER_HOUR[WarehouseSize.XSMALL] == 1
    assert CREDITS_PER_HOUR[WarehouseSize.LARGE] == 8
    assert CREDITS_PER_HOUR[WarehouseSize.X6LARGE] == 512


def test_an_unknown_size_is_refused_with_the_sizes() -> None:
    """A typing error ends with the list of what may be written."""
    with pytest.raises(ValueError, match="is no warehouse size — write one of x-small"):
        CostConfig.model_validate({"warehouse_size": "huge"})
