"""Many rounds of kill -9 at every point of a run: `make stress`. See tests/faults/kill_rounds.py."""

from __future__ import annotations

import os
import random

import pytest

from tests.faults.kill_rounds import POINTS, assert_recovered, kill_at, kill_before_the_reply
from tests.world import World

ROUNDS = int(os.environ.get("PGSNOW_KILL_ROUNDS", "20"))


@pytest.fixture
def synced(world: World) -> World:
    """A world whose first load is done."""
    world.tables[0]["load"] = "stage"
    world.sql("insert into users select g, 'n' || g, g from generate_series(1, 1000) g")
    assert_recovered(world)
    return world


@pytest.mark.stress
@pytest.mark.parametrize("phase", POINTS)
def test_killed_again_and_again_after(synced: World, phase: str) -> None:
    rnd = random.Random(phase)
    for _ in range(ROUNDS):
        kill_at(synced, phase, rnd)


@pytest.mark.stress
def test_killed_again_and_again_after_the_merge_and_before_its_reply(synced: World) -> None:
    rnd = random.Random("reply")
    for _ in range(ROUNDS):
        kill_before_the_reply(synced, rnd)
