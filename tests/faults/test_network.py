"""A network that is slow, that cuts connections anywhere, or that refuses them, before Postgres and before Snowflake:
nothing hangs, each error says which side it is and what to do, and the next ticks make source and target equal."""

from __future__ import annotations

from typing import Any

import pytest

from pgsnow.model.errors import PgsnowError
from pgsnow.testing.proxy import FaultProxy
from tests.faults.conftest import Trials
from tests.faults.matrix.cases import POSTGRES, SNOWFLAKE, Outcome
from tests.faults.matrix.trial import Trial

pytestmark = pytest.mark.usefixtures("_short_waits")
CUTS = 24
"""Places in the bytes of a tick, at equal distances, at which all connections are reset."""
SIDES = ("postgres", "snowflake")
LOADS = {"postgres": ("merge", "chunks", "log"), "snowflake": ("staged files", "first load", "bucket")}
SLOW: dict[str, dict[str, Any]] = {
    "delayed": {"latency": 0.02},
    "late replies": {"reply_delay": 0.1},
    "slow": {"rate": 200_000},
}


def proxy_of(trial: Trial, side: str) -> FaultProxy:
    proxy = trial.postgres if side == "postgres" else trial.target
    assert proxy is not None
    return proxy


def assert_right(outcome: Outcome, side: str) -> None:
    """Whatever is reported names the side, and what to do."""
    allowed = {*(POSTGRES if side == "postgres" else SNOWFLAKE), "LeaseHeld"}
    found = [outcome] if isinstance(outcome, PgsnowError) else [r for r in outcome if r.error]
    for error in found:
        kind = type(error).__name__ if isinstance(error, PgsnowError) else error.error_type
        assert kind in allowed, error
        assert error.advice, error


@pytest.mark.parametrize(
    ("side", "load", "part"),
    [
        pytest.param(side, load, part, marks=[] if (at, part) == (0, 9) else pytest.mark.thorough)
        for side in SIDES
        for at, load in enumerate(LOADS[side])
        for part in range(CUTS)
    ],
)
def test_a_connection_that_is_cut_anywhere_loses_and_doubles_nothing(
    trials: Trials, side: str, load: str, part: int
) -> None:
    """All connections are reset after a part of the bytes that an undisturbed tick sends and receives."""
    trial = trials.of(load)
    proxy = proxy_of(trial, side)
    trial.change()
    passed = proxy.bytes_passed
    assert not isinstance(trial.tick(), PgsnowError)
    usual = proxy.bytes_passed - passed
    trial.repaired()
    trial.change()
    before = trial.checkpoint()
    proxy.behave(cut_after=max(usual * part // CUTS, 1))
    outcome = trial.tick()
    trial.heal()
    trial.not_ahead(before)
    assert_right(outcome, side)
    trial.repaired()


@pytest.mark.parametrize("side", SIDES)
def test_a_server_that_refuses_connections_is_named(trials: Trials, side: str) -> None:
    """The tick ends at once, moves no checkpoint, and the next one does the work."""
    trial = trials.of(LOADS[side][0])
    trial.change()
    before = trial.checkpoint()
    proxy = proxy_of(trial, side)
    proxy.behave(refuse=True)
    proxy.reset()
    outcome = trial.tick()
    assert isinstance(outcome, PgsnowError) or all(report.error for report in outcome)
    assert_right(outcome, side)
    trial.heal()
    if side == "postgres":
        assert trial.checkpoint() == before
    trial.repaired()


@pytest.mark.parametrize("how", SLOW)
@pytest.mark.parametrize("side", SIDES)
def test_a_slow_network_changes_nothing_but_the_time(trials: Trials, side: str, how: str) -> None:
    """Latency and a narrow line are no errors."""
    trial = trials.of(LOADS[side][0])
    trial.change()
    proxy_of(trial, side).behave(**SLOW[how])
    outcome = trial.tick()
    trial.heal()
    assert not isinstance(outcome, PgsnowError)
    assert [report.error for report in outcome if report.error] == []
    trial.repaired()


@pytest.mark.thorough
@pytest.mark.timeout(900)
def test_a_thousand_bytes_a_second_are_enough(trials: Trials) -> None:
    """A tick of one table sends and receives some ten thousand bytes: no limit ends it as long as bytes come."""
    trial = trials.of("merge")
    trial.change()
    trial.postgres.behave(rate=1_000)
    outcome = trial.tick()
    trial.heal()
    assert not isinstance(outcome, PgsnowError)
    assert [report.error for report in outcome if report.error] == []
    trial.repaired()
