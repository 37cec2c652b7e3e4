"""A large first load that is killed again and again while rows are written: `make stress`."""

from __future__ import annotations

import os
import random

import pytest

from tests.faults.kill_rounds import kill_a_backfill
from tests.world import World

ROWS = int(os.environ.get("PGSNOW_BACKFILL_ROWS", "200000"))
KILLS = int(os.environ.get("PGSNOW_BACKFILL_KILLS", "10"))


@pytest.mark.stress
@pytest.mark.parametrize("parallel", [1, 3])
def test_a_large_backfill_survives_many_kills(world: World, parallel: int) -> None:
    world.tables[0] |= {
        "load": "stage", "max_mb_per_chunk": 1, "batch_size": 1000, "max_parallel_chunks": parallel,
    }  # fmt: skip
    world.sql(f"insert into users select g, 'n' || g, g from generate_series(1, {ROWS}) g")
    kill_a_backfill(world, random.Random("large"), KILLS, parallel)
