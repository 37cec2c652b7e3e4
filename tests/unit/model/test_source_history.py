"""Does the source still have what was read? By what a checkpoint and a horizon say of the server's history."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgsnow.model.checkpoint import (
    LOG_WENT_BACK,
    OTHER_DATABASE,
    OTHER_SERVER,
    OTHER_TIMELINE,
    Checkpoint,
    Horizon,
    Position,
    ReadMode,
    ServerIdentity,
    break_in_history,
    is_restarted,
    is_unproven,
)

HERE = ServerIdentity("7000000000000000001", 1)
READ = Checkpoint(ReadMode.WATERMARK, HERE, 1000, "-infinity", position=Position(5, "100.5", 5000))
SAME = Horizon(HERE, "now", "now", position=Position(5, "100.5", 5000))


def later(lsn: int | None = 6000, started: str = "200.5", resumed: int | None = None) -> Horizon:
    return replace(SAME, position=Position(5, started, lsn), resumed=resumed)


@pytest.mark.parametrize(
    ("horizon", "reason"),
    [
        (SAME, None),
        (replace(SAME, identity=ServerIdentity("7", 1)), OTHER_SERVER),
        (replace(SAME, identity=ServerIdentity(HERE.system_identifier, 2)), OTHER_TIMELINE),
        (replace(SAME, identity=ServerIdentity("", 0)), None),
        (replace(SAME, position=Position(6, "100.5", 5000)), OTHER_DATABASE),
        (later(4999, "100.5"), LOG_WENT_BACK),
        (later(6000, resumed=4999), LOG_WENT_BACK),
        (later(6000, resumed=5000), None),
        (later(6000, "100.5", resumed=10), None),  # the start before the last read
        (later(None), None),
        (replace(SAME, position=None), None),
    ],
)
def test_a_break_is_what_cannot_be_the_same_history(horizon: Horizon, reason: str | None) -> None:
    assert break_in_history(READ, horizon) == reason


@pytest.mark.parametrize(
    ("horizon", "restarted", "unproven"),
    [
        (SAME, False, False),
        (later(resumed=5000), True, False),
        (later(), True, True),
        (later(None, resumed=5000), True, False),
        (later(started=""), False, False),  # a standby: any of several may have answered
    ],
)
def test_a_restart_is_proven_harmless_by_where_the_server_resumed(
    horizon: Horizon, restarted: bool, unproven: bool
) -> None:
    assert (is_restarted(READ, horizon), is_unproven(READ, horizon)) == (restarted, unproven)


def test_a_checkpoint_of_an_older_release_shows_nothing() -> None:
    old = Checkpoint.from_json({k: v for k, v in READ.to_json().items() if k != "position"})
    assert old.position is None
    assert break_in_history(old, later(1)) is None
    assert not is_restarted(old, later(1))


def test_a_second_read_of_a_tick_has_the_same_horizon() -> None:
    """The closing read of a backfill: its checkpoint is from after the horizon."""
    first = READ.evolve(position=Position(5, "100.5", 5000, "now"))
    assert break_in_history(first, replace(SAME, position=Position(5, "100.5", 4000, "now"))) is None
    assert (
        break_in_history(first, replace(SAME, position=Position(5, "100.5", 4000, "later"))) == LOG_WENT_BACK
    )


def test_the_position_is_stored() -> None:
    assert Checkpoint.from_json(READ.to_json()) == READ


@given(st.lists(st.tuples(st.integers(0, 10**6), st.booleans()), min_size=1))
def test_a_server_that_only_goes_on_never_looks_restored(steps: list[tuple[int, bool]]) -> None:
    """However often it is restarted, and however long nobody reads from it in between."""
    lsn, started, resumed = 5000, 100, 4000
    for written, restarts in steps:
        lsn += written
        if restarts:
            resumed, started = lsn, started + 1
        assert break_in_history(READ, later(lsn, f"{started}.5", resumed)) is None


@given(st.integers(0, 4999), st.integers(0, 10**6))
def test_a_server_that_resumed_before_what_was_read_always_does(resumed: int, written: int) -> None:
    """However far it has come since."""
    assert break_in_history(READ, later(resumed + written, resumed=resumed)) == LOG_WENT_BACK
