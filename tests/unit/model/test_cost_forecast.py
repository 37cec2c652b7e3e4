"""The forecast of credits agrees with simulated days, and with hand-computed ones."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgsnow.model.config.cost import WarehouseSize
from pgsnow.model.cost.forecast import Arrivals, LoadTime, forecast, is_due
from pgsnow.model.cost.warehouse import Warehouse, awake_seconds, credits_of_wake
from tests.examples import examples

TICK = 120.0


def simulated(
    tables: dict[str, float], cadence: dict[str, float], warehouse: Warehouse, work: float
) -> float:
    """Credits a day, second by second, of tables that have changes in this share of their ticks, over 10 days."""
    draw, staged, until, resumed, awake = random.Random(1), dict.fromkeys(tables, False), 0.0, 0.0, 0.0
    days = 10
    for number in range(int(days * 86_400 / TICK)):
        at, loads = number * TICK, 0
        for name, busy in tables.items():
            staged[name] |= draw.random() < busy
            if staged[name] and is_due(at, cadence.get(name, 0.0), TICK):
                staged[name], loads = False, loads + 1
        if loads:
            if at > until:
                awake, resumed = awake + until - resumed, at
            until = max(until, at + warehouse.awake_seconds(work))
    return (awake + until - resumed) * warehouse.credits_per_second / days


def test_a_wake_is_billed_until_the_suspension_and_for_a_minute_at_least() -> None:
    """15 seconds of work, AUTO_SUSPEND = 60, and the suspension that is looked for about every 30 seconds: 90 seconds,
    and not the 60 that the minimum suggests."""
    assert awake_seconds(15, 60) == 90
    assert awake_seconds(1, 30) == 60
    assert credits_of_wake(15, WarehouseSize.XSMALL, 60) == pytest.approx(90 / 3600)
    assert credits_of_wake(15, WarehouseSize.MEDIUM, 60) == pytest.approx(4 * 90 / 3600)


def test_a_table_that_changes_all_the_time_costs_18_credits_a_day() -> None:
    """A resume every two minutes; a load every ten minutes is a fifth of it; a warehouse that never falls asleep is
    billed for 24 hours, however it is used."""
    always, work = {"t": Arrivals.steady(1.0)}, {"t": LoadTime(15.0, 0.0)}
    each_tick = forecast(always, {}, warehouse=Warehouse(), work=work)
    assert each_tick.credits == pytest.approx(18.0)
    assert each_tick.resumes == pytest.approx(720)
    assert forecast(always, {"t": 600}, warehouse=Warehouse(), work=work).credits == pytest.approx(3.6)
    assert forecast(always, {}, warehouse=Warehouse(auto_suspend=300), work=work).credits == pytest.approx(
        24.0
    )


@settings(max_examples=examples(8))
@given(
    st.dictionaries(st.sampled_from("abcd"), st.floats(0.01, 1), min_size=1),
    st.sampled_from([0.0, 600.0, 3600.0]),
    st.sampled_from([30.0, 60.0, 240.0]),
)
def test_the_forecast_is_what_simulated_days_cost(
    tables: dict[str, float], cadence: float, suspend: float
) -> None:
    """Whatever the arrivals, cadences and AUTO_SUSPEND are: tables that share a tick, and loads that find the
    warehouse awake, are counted once."""
    warehouse = Warehouse(auto_suspend=suspend)
    cadences = {"a": cadence, "b": cadence}
    found = forecast(
        {name: Arrivals.steady(busy) for name, busy in tables.items()},
        cadences,
        warehouse=warehouse,
        work=dict.fromkeys(tables, LoadTime(5.0, 0.0)),
        parallel=8,
    )
    chance = 4 / math.sqrt(10 * max(1.0, sum(found.loads.values())))
    assert found.credits == pytest.approx(simulated(tables, cadences, warehouse, 5.0), rel=0.03 + chance)
    assert sum(found.by_table.values()) == pytest.approx(found.credits)


def test_hours_without_arrivals_cost_nothing() -> None:
    """Arrivals by night do not make the day expensive: credits are forecast for each hour."""
    nightly = Arrivals((0.0, 0.0) + (1.0,) * 22, (1e6, 1e6) + (0.0,) * 22)
    found = forecast({"t": nightly}, {}, warehouse=Warehouse(), work={"t": LoadTime(1.0, 1e-4)})
    assert found.by_hour[2:] == (0.0,) * 22
    # 1,000,000 rows an hour are 33,333 a tick: 3.3 seconds, beside the one that each load takes.
    assert found.by_hour[0] == pytest.approx(30 * (1 + 100 / 30 + 75) / 3600)
