"""Many rounds of kill -9 at every point of a run: `make stress`. See tests/faults/kill_rounds.py."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgsnow.embedded.snowflake import EmbeddedSnowflake
from tests.faults.kill_rounds import POINTS, assert_recovered, kill_at, kill_before_the_reply
from tests.world import USERS, World

ROUNDS = int(os.environ.get("PGSNOW_KILL_ROUNDS", "20"))


@pytest.fixture
def world(
    database: str, snowflake_env: dict[str, str], emulator: EmbeddedSnowflake, tmp_path: Path
) -> Iterator[World]:
    world = World({"POSTGRES_DSN": database, **snowflake_env}, emulator, tmp_path)
    world.tables[0]["load"] = "stage"
    world.sql(USERS)
    world.sql("insert into users select g, 'n' || g, g from generate_series(1, 1000) g")
    assert_recovered(world)
    yield world
    world.close()


@pytest.mark.stress
@pytest.mark.parametrize("phase", POINTS)
def test_killed_again_and_again_after(world: World, phase: str) -> None:
    rnd = random.Random(phase)
    for _ in range(ROUNDS):
        kill_at(world, phase, rnd)


@pytest.mark.stress
def test_killed_again_and_again_after_the_merge_and_before_its_reply(world: World) -> None:
    rnd = random.Random("reply")
    for _ in range(ROUNDS):
        kill_before_the_reply(world, rnd)
