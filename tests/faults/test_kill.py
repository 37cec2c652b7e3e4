"""kill -9 anywhere: the next tick leaves source and target equal, no row doubled, no staging orphaned."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgsnow.embedded.snowflake import EmbeddedSnowflake
from tests.faults.kill_rounds import POINTS, assert_recovered, kill_at, kill_before_the_reply
from tests.world import USERS, World


@pytest.fixture
def world(
    database: str, snowflake_env: dict[str, str], emulator: EmbeddedSnowflake, tmp_path: Path
) -> Iterator[World]:
    world = World({"POSTGRES_DSN": database, **snowflake_env}, emulator, tmp_path)
    world.tables[0]["load"] = "stage"
    world.sql(USERS)
    world.sql("insert into users select g, 'n' || g, g from generate_series(1, 200) g")
    assert_recovered(world)
    yield world
    world.close()


@pytest.mark.parametrize("phase", POINTS)
def test_killed_after(world: World, phase: str) -> None:
    kill_at(world, phase, random.Random(phase))


def test_killed_after_the_merge_and_before_its_reply(world: World) -> None:
    kill_before_the_reply(world, random.Random("reply"))


def test_killed_during_the_first_load(
    database: str, snowflake_env: dict[str, str], emulator: EmbeddedSnowflake, tmp_path: Path
) -> None:
    world = World({"POSTGRES_DSN": database, **snowflake_env}, emulator, tmp_path)
    world.tables[0] |= {"load": "stage", "max_rows_per_load": 100, "batch_size": 50}
    world.sql(USERS)
    for phase in POINTS:
        kill_at(world, phase, random.Random(phase))
    world.close()
