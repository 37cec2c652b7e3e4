"""Days under a budget, simulated with the code that a tick uses."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.budget import Outcome, SimulatedTable, Simulation, simulate
from pgsnow.model.cost.forecast import DAY, HOURS, LoadTime
from tests.examples import examples

TICK = 600.0
"""Longer than the usual interval: a simulated day has 144 ticks."""
TICKS = round(DAY / TICK)


@st.composite
def _tables(draw: st.DrawFn, number: int) -> SimulatedTable:
    busy = draw(st.lists(st.sampled_from([0.0, 0.3, 3.0, 30.0, 300.0]), min_size=4, max_size=4))
    return SimulatedTable(
        f"t{number}",
        [busy[hour // 6] for hour in range(HOURS)],
        draw(st.sampled_from([1.0, 100.0])),
        draw(st.integers(0, 2)),
        draw(st.sampled_from([0.0, 1800.0])),
        draw(st.sampled_from([None, None, 1600.0, 7200.0, 4 * 3600.0])),
        LoadTime(draw(st.sampled_from([0.5, 3.0, 20.0])), 1e-5),
        draw(st.sampled_from([None, 0.2, 1.0, 5.0])),
    )


@st.composite
def _days(draw: st.DrawFn, *, steady_clock: bool) -> Simulation:
    tick = st.integers(0, TICKS)
    span = st.tuples(tick, st.integers(0, 30)).map(lambda found: (found[0], found[0] + found[1]))
    jumps = (
        {}
        if steady_clock
        else draw(st.dictionaries(tick, st.sampled_from([-5400.0, -60.0, 3600.0]), max_size=2))
    )
    tables = [draw(_tables(number)) for number in range(draw(st.integers(1, 5)))]
    bursts = draw(st.lists(span, max_size=2))
    return Simulation(
        tables,
        draw(st.sampled_from([0.6, 1.0, 2.0, 6.0])),
        TICK,
        1.0,
        bursts=[(first, last, 10.0) for first, last in bursts],
        stops=draw(st.lists(span, max_size=2)),
        jumps=jumps,
        quiet=draw(st.sampled_from([None, None, (3 * 3600.0, 7 * 3600.0)])),
        seed=draw(st.integers(0, 99)),
    )


def _assert_kept(setup: Simulation, found: Outcome) -> None:
    assert not found.late
    for day, spent in found.spent.items():
        if setup.limit is not None and spent > 1.05 * setup.limit:
            assert found.warned_at.get(day, float("inf")) <= found.over_at[day], (spent, found)


@settings(max_examples=examples(8), deadline=None)
@given(_days(steady_clock=True))
def test_a_budget_and_every_max_lag_are_kept_or_the_conflict_is_reported_before(setup: Simulation) -> None:
    """Whatever arrives, in bursts or not, foreseen or not: a day costs at most 5 % more than the budget, or it was
    reported before that much was spent; and no row is later than `max_lag` while a worker runs."""
    _assert_kept(setup, simulate(setup))


@settings(max_examples=examples(3), deadline=None)
@given(_days(steady_clock=False))
def test_a_clock_that_jumps_makes_no_row_wait_for_ever(setup: Simulation) -> None:
    """Whenever the ledger's clock jumps, forward or back, every row is loaded within a day and the time of the jump."""
    found = simulate(replace(setup, days=1.6))
    for table in setup.tables:
        assert found.worst.get(table.name, 0.0) <= DAY + 2 * 5400 + 4 * TICK, (table, found.worst)
