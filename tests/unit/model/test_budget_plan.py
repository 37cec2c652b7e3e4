"""The plan of a day under a budget: who is slowed, by how much, and what loads now."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from pgsnow.model.budget.demand import Account, Demand
from pgsnow.model.budget.history import HourOfDay, arrivals_of
from pgsnow.model.budget.outlook import Outlook, groups_of
from pgsnow.model.budget.plan import plan_day, steps_of
from pgsnow.model.config.budget import BudgetConfig
from pgsnow.model.config.sync_config import parse_config
from pgsnow.model.cost.forecast import DAY, HOURS, Arrivals, LoadTime
from pgsnow.model.errors import ConfigError

MIDNIGHT = 20_000 * DAY
BUSY = Arrivals.steady(0.9)
LOW, NORMAL, HIGH = 0, 1, 2


def account(limit: float | None, *, hour: float = 0.0, spent: float = 0.0, **more: Any) -> Account:
    return Account(MIDNIGHT + hour * 3600, 120.0, limit, spent, **more)


def busy(table: str, priority: int = NORMAL, **more: Any) -> Demand:
    return Demand(table, priority, arrivals=BUSY, load=LoadTime(2.0), **more)


def test_nothing_is_slowed_while_the_credits_suffice() -> None:
    """A budget that is large enough changes nothing."""
    assert not plan_day(account(40.0), [busy("a"), busy("b", LOW)]).paces
    assert not plan_day(account(None), [busy("a")]).paces


def test_tables_of_low_priority_are_slowed_first_and_not_without_bound() -> None:
    """They are loaded less often than the others, but at least every fourth time; the forecast keeps the budget."""
    tables = [busy("low", LOW), busy("normal"), busy("high", HIGH)]
    plan = plan_day(account(6.0), tables)
    every = {
        table: plan.paces[table].load_every if table in plan.paces else 120.0
        for table in ("low", "normal", "high")
    }
    assert every["high"] <= every["normal"] <= every["low"] <= 16 * every["high"]
    assert every["low"] > 120
    assert plan.forecast <= 6.0


def test_a_table_is_not_slowed_where_that_saves_nothing() -> None:
    """The warehouse wakes for the other one in each tick anyway: with a short load, waiting would save nothing."""
    long = Demand("low", LOW, arrivals=BUSY, load=LoadTime(20.0))
    strict = Demand("strict", HIGH, max_lag=150.0, arrivals=Arrivals.steady(1.0), load=LoadTime(2.0))
    quick = Demand("low", LOW, arrivals=BUSY, load=LoadTime(0.01))
    steps = [
        steps_of(Outlook(account(14.0), groups_of([table, strict], 120.0)), left=13.0)
        for table in (long, quick)
    ]
    assert [one[LOW] > 0 for one in steps] == [True, False]


def test_a_conflict_names_the_tables_whose_max_lag_needs_more() -> None:
    """It is known at midnight, long before the credits are gone."""
    plan = plan_day(account(1.0), [busy("a"), busy("b", max_lag=600.0), busy("c", max_lag=900.0)])
    assert plan.conflict is not None
    assert plan.conflict.startswith("the budget of 1 credit a day will not last, ")
    assert plan.conflict.endswith("are needed today, to keep the max_lag of b (10m), c (15m)")
    assert plan_day(account(1.0), [busy("a")]).conflict is None


def test_without_credits_only_what_must_be_loaded_is() -> None:
    """The others wait until midnight. One that has waited for long joins if that costs hardly more."""
    now = MIDNIGHT + 20 * 3600
    tables = [
        busy("a", waiting_since=now - 500),
        busy("b", max_lag=600.0, waiting_since=now - 500),
        busy("small", waiting_since=now - 1000),
        Demand("large", arrivals=BUSY, load=LoadTime(60.0), waiting_since=now - 1000),
    ]
    plan = plan_day(account(2.0, hour=20, spent=2.0), tables)
    assert plan.loads == {"b", "small"}
    assert plan.held == MIDNIGHT + DAY
    assert plan.paces["a"].text == (
        "waits until 00:00 UTC: 2.00 of today's credits (2) are spent and 1.27 are kept for tables with max_lag"
    )
    assert plan.conflict is not None


def test_a_load_that_costs_more_than_is_left_waits_also_if_its_table_is_not_slowed() -> None:
    """Its rows came unexpectedly; the plan says why it is not loaded, and other tables are."""
    quiet, before = Arrivals.steady(0.001), MIDNIGHT + 23.5 * 3600
    tables = [
        Demand("huge", every=600.0, arrivals=quiet, waiting_since=before, waiting_rows=1e9),
        Demand("small", every=600.0, arrivals=quiet, waiting_since=before, waiting_rows=1e3),
    ]
    plan = plan_day(account(6.0, hour=23.8, spent=5.5), tables)
    assert plan.loads == {"small"}
    assert plan.paces.keys() == {"huge"}
    assert plan.paces["huge"].held
    assert "does not suffice for its load of 1000000000 rows" in plan.paces["huge"].text


def test_a_table_that_has_waited_joins_a_load_that_is_made_anyway() -> None:
    """It shares the minute of the warehouse. One that may or may not have changes does not make others join."""
    begun = MIDNIGHT + 10 * 3600
    tables = [
        busy("due", every=3600.0, waiting_since=begun - 600),
        busy("waits", every=7 * 3600.0, waiting_since=begun - 4 * 3600),
        busy("new", every=7 * 3600.0, waiting_since=begun - 60),
    ]
    assert plan_day(account(None, hour=10), tables).loads == {"due", "waits"}
    unsure = [busy("due", every=3600.0, waiting_since=begun - 600, staged=False), *tables[1:]]
    assert plan_day(account(None, hour=10), unsure).loads == {"due"}


def test_a_thousand_tables_are_planned_as_one_group_each_kind() -> None:
    """The plan depends on kinds of tables, not on their number: its outlook has one group."""
    tables = [busy(f"t{number}") for number in range(1000)]
    paces = plan_day(account(6.0), tables).paces
    assert len({pace.load_every for pace in paces.values()}) == 1


def test_hours_of_which_nothing_is_known_are_like_the_others() -> None:
    """A table that ran for one hour has arrivals for the whole day; one that never ran has none."""
    found = arrivals_of({8: HourOfDay(15.0, 30.0, 300.0)}, 120.0)
    assert found is not None
    assert found.quiet == (0.5,) * HOURS
    assert found.rows == (300.0,) * HOURS
    assert arrivals_of({}, 120.0) is None


WEEKEND = {"from": "00:00", "to": "24:00", "days": ["sat", "sun"], "time_zone": "Europe/Berlin"}


@pytest.mark.parametrize(
    ("windows", "now", "until"),
    [
        ([{"from": "22:00", "to": "06:00"}], "2026-03-02 05:59", "2026-03-02 06:00"),
        ([{"from": "22:00", "to": "06:00"}], "2026-03-02 06:00", None),
        ([{"from": 1320, "to": "06:00"}], "2026-03-02 23:00", "2026-03-03 06:00"),
        ([WEEKEND], "2026-03-06 23:00", "2026-03-08 23:00"),  # begins at midnight in Berlin
        ([WEEKEND], "2026-03-29 12:00", "2026-03-29 22:00"),  # the clocks go forward on that Sunday
        (
            [{"from": "01:00", "to": "02:00"}, {"from": "02:00", "to": "03:00"}],
            "2026-03-02 01:30",
            "2026-03-02 03:00",
        ),
        ([{"from": "22:00", "to": "06:00", "days": "fri"}], "2026-03-07 05:00", "2026-03-07 06:00"),
        ([{"from": "22:00", "to": "06:00", "days": "fri"}], "2026-03-08 05:00", None),
    ],
)
def test_quiet_hours_end_when_the_clock_on_the_wall_says(
    windows: list[dict[str, Any]], now: str, until: str | None
) -> None:
    """Windows over midnight, of some days, in a time zone, on the day on which clocks change, and one after another."""
    found = BudgetConfig.model_validate({"quiet_hours": windows}).quiet_until(_utc(now))
    assert found == (None if until is None else _utc(until))


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("budget", "table", "message"),
    [
        ({}, {}, "budget: says nothing — write `credits_per_day:`, `quiet_hours:` or both"),
        ({"credits_per_day": 0}, {}, "budget.credits_per_day: 0 is too small"),
        ({"quiet_hours": [{"from": "22:00", "to": "25:00"}]}, {}, "'25:00' is not a time of the day"),
        ({"quiet_hours": [{"from": "00:00", "to": "24:00"}]}, {}, "quiet_hours leave no time for a load"),
        (
            {"quiet_hours": [{"from": "0:00", "to": "1:00", "days": ["someday"]}]},
            {},
            "'someday' is not a day",
        ),
        ({"credits_per_day": 1}, {"priority": "urgent"}, "'urgent' is not known — write low, normal, high"),
        (
            {"credits_per_day": 1},
            {"max_lag": "10m", "load_every": "10m"},
            "max_lag: is not longer than `every` and `load_every` together",
        ),
    ],
)
def test_a_wrong_budget_is_refused_with_its_place_and_its_fix(
    budget: dict[str, Any], table: dict[str, Any], message: str
) -> None:
    """Before anything runs."""
    entry = {"source": "a.b", "target": "c", "watermark_column": "u", **table}
    with pytest.raises(ConfigError) as caught:
        parse_config({"budget": budget, "tables": [entry]}, file="f", env={})
    assert message in str(caught.value)


def test_a_budget_is_read_back_as_it_was() -> None:
    """The configuration that commands show is one that can be used."""
    data = {
        "budget": {"credits_per_day": 6, "quiet_hours": [WEEKEND]},
        "tables": [
            {"source": "a.b", "target": "c", "watermark_column": "u", "priority": "low", "max_lag": "2h"}
        ],
    }
    config = parse_config(data, file="f", env={})
    assert parse_config(config.to_data(), file="f", env={}) == config
