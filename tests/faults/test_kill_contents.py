"""kill -9 while a content is replaced, and while staged rows are loaded straight from their files."""

from __future__ import annotations

import random

import pytest

from tests.faults.kill_rounds import assert_recovered, change_source, is_killed, kill_at, tick
from tests.world import World


@pytest.mark.thorough
def test_killed_while_a_content_is_replaced(world: World) -> None:
    """Before the statement, the target has the old content; after it, the new one. The files of the killed run are
    removed before its successor loads, whatever waits to be removed beside them."""
    world.tables[0] |= {"load": "stage", "mode": "full", "watermark_column": None}
    world.sql("insert into users select g, 'n' || g, g from generate_series(1, 200) g")
    assert_recovered(world)
    for phase in ("put", "replaced"):
        kill_at(world, phase, random.Random(phase))


@pytest.mark.thorough
def test_killed_while_staged_rows_are_merged_from_their_files(world: World) -> None:
    """After the MERGE, before the ledger knows of it: the rows are merged again. And when the ledger knows of it, but
    the files are not listed yet: they are removed by the next run."""
    world.tables[0] |= {"load": "stage"}
    world.sql("insert into users select g, 'n' || g, g from generate_series(1, 200) g")
    assert_recovered(world)
    world.tables[0] |= {"load_every": "1ms"}
    for phase in ("merged", "checkpointed"):
        rnd = random.Random(phase)
        change_source(world, rnd)
        assert tick(world).wait() == 0
        kill_at(world, phase, rnd)


def test_killed_before_files_that_wait_are_removed(world: World) -> None:
    """They are listed until they are gone: the next run that loads anything removes them."""
    world.tables[0] |= {"load": "stage"}
    world.sql("insert into users select g, 'n' || g, g from generate_series(1, 200) g")
    assert_recovered(world)
    world.sql("update sync_loaded_files set loaded_at = now() - interval '11 minutes'")
    change_source(world, random.Random("swept"))
    assert is_killed(world, "swept")
    assert len(world.sql("select * from sync_loaded_files")) == 2
    change_source(world, random.Random("then"))
    assert_recovered(world)
    assert world.sql("select * from sync_loaded_files") == []
    assert world.snowflake("LIST @ANALYTICS.PGSNOW_STAGE") == []
