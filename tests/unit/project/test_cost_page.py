"""Numbers of credits on the pages are those of the model."""

from __future__ import annotations

import re

import pytest

from pgsnow.model.config.cost import CostConfig
from pgsnow.model.cost.forecast import TYPICAL, Arrivals, LoadTime, forecast
from pgsnow.model.cost.warehouse import Warehouse, awake_seconds
from pgsnow.operations.cost.result import ASSUMED_BUSY, ASSUMED_ROWS
from tests.unit.project.markdown import ROOT

PAGE = (ROOT / "docs/cost.md").read_text()
GOING_LIVE = " ".join((ROOT / "docs/going-live.md").read_text().split())
CADENCES = {"2 minutes": 120.0, "10 minutes": 600.0, "hour": 3600.0}


def credits(cadence: float, suspend: float) -> float:
    """Credits a day of a table that always changes, with 15 seconds of work for each load."""
    found = forecast(
        {"t": Arrivals.steady(1.0)},
        {"t": cadence},
        warehouse=Warehouse(auto_suspend=suspend),
        work={"t": LoadTime(15.0, 0.0)},
    )
    return found.credits


def test_the_table_of_examples_is_computed() -> None:
    """Nobody plans with a number that the model does not say."""
    rows = re.findall(r"^\| every (.+?) \| (\d+) \| (.+?) \| ([\d.]+) \|$", PAGE, re.MULTILINE)
    assert len(rows) == 6
    for cadence, suspend, awake, shown in rows:
        assert float(shown) == pytest.approx(credits(CADENCES[cadence], float(suspend)), abs=0.005)
        seconds = awake_seconds(15, float(suspend))
        assert awake == ("always" if seconds > CADENCES[cadence] else f"{seconds:.0f} s")


def test_going_live_promises_what_the_model_says() -> None:
    """The first page that names a price."""
    text = r"about (\d+) credits a day with `AUTO_SUSPEND = 30` and (\d+) with 60"
    [(short, long)] = re.findall(text, GOING_LIVE)
    assert (float(short), float(long)) == pytest.approx((credits(0, 30), credits(0, 60)))
    [deferred] = re.findall(r"six times an hour, however much changes: ([\d.]+) credits", GOING_LIVE)
    assert float(deferred) == pytest.approx(credits(600, 30))


def test_the_assumptions_are_stated_as_they_are() -> None:
    """A reader can judge a forecast by the page alone."""
    page = " ".join(PAGE.split())
    assert f"on average for {CostConfig().suspend_lag_seconds} seconds more" in page
    assert f"{CostConfig().credits_per_1000_statements} for 1,000 of them" in page
    assert "41 milliseconds of a layer that costs 4.4 credits an hour" in page
    assert CostConfig().credits_per_1000_statements / 1000 / 4.4 * 3600 == pytest.approx(0.041, abs=0.0005)
    assert f"{TYPICAL.per_row * 1e6:.0f} microseconds belong to each row" in page
    assert ASSUMED_BUSY == 0.2
    assert f"a fifth of its ticks find changes, with {ASSUMED_ROWS:.0f} rows an hour" in page
    assert f"and {TYPICAL.fixed:.0f} seconds a load if no table has a history" in page
    resumed = re.findall(r"about ([\d.]+) credits on an X-Small warehouse with `AUTO_SUSPEND = 30`", page)
    assert [float(one) for one in resumed] == [round(Warehouse(auto_suspend=30).credits_of_wake(5), 2)]
