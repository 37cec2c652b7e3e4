"""kill -9 anywhere: the next tick leaves source and target equal, no row doubled, no staging orphaned."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from tests.faults.kill_rounds import (
    DEFERRED_POINTS,
    MERGE_POINTS,
    POINTS,
    assert_recovered,
    change_source,
    kill_a_backfill,
    kill_a_resync,
    kill_at,
    kill_before_the_reply,
    kill_while_a_file_goes_up,
    kill_while_rows_are_copied,
    kill_with_bound_values,
    tick,
)
from tests.world import World


@pytest.fixture
def in_bucket(world: World, s3_env: dict[str, str]) -> World:
    """A world whose part files go through a bucket."""
    world.through(s3_env)
    world.tables[0]["load"] = "s3"
    return world


@pytest.fixture
def synced(world: World) -> World:
    """A world whose first load is done."""
    world.tables[0]["load"] = "stage"
    world.sql("insert into users select g, 'n' || g, g from generate_series(1, 200) g")
    assert_recovered(world)
    return world


def test_killed_at_each_point_of_a_merge(synced: World) -> None:
    """One round for each point, one after the other: each begins with source and target equal."""
    for phase in MERGE_POINTS:
        kill_at(synced, phase, random.Random(phase))
    kill_before_the_reply(synced, random.Random("reply"))
    synced.tables[0] |= {"load_via": "table"}
    kill_at(synced, "copied", random.Random("copied"))
    del synced.tables[0]["load_via"], synced.tables[0]["load"]
    kill_with_bound_values(synced)


def test_killed_while_a_file_goes_up_and_rows_are_read(world: World) -> None:
    """In a first load, and in a merge of what changed."""
    world.tables[0]["load"] = "stage"
    world.sql("insert into users select g, 'n' || g, g from generate_series(1, 400) g")
    kill_while_a_file_goes_up(world, random.Random("first"))
    world.sql("update users set balance = 7, updated_at = now()")
    kill_while_a_file_goes_up(world, random.Random("then"))


@pytest.mark.thorough
def test_killed_anywhere_with_a_bucket_for_the_files(world: World, s3_env: dict[str, str]) -> None:
    """Each point once, from the first load on. What a killed run left in the bucket is gone after the next.
    (In `make test`: every point with the stage, and runs that are killed between staging in a bucket and loading.)"""
    world.through(s3_env)
    world.tables[0] |= {"load": "s3", "max_rows_per_load": 200, "batch_size": 100}
    for phase in POINTS:
        kill_at(world, phase, random.Random(phase))
    kill_before_the_reply(world, random.Random("reply"))


@pytest.mark.thorough
def test_killed_during_the_first_load(world: World) -> None:
    """After its COPY; then at each point of merges of several load batches."""
    world.tables[0] |= {"load": "stage", "max_rows_per_load": 100, "batch_size": 50}
    for phase in ("copied", *MERGE_POINTS):
        kill_at(world, phase, random.Random(phase))


def test_a_backfill_that_is_killed_again_and_again_reads_one_chunk_twice_for_each(world: World) -> None:
    world.tables[0] |= {"load": "stage", "max_mb_per_chunk": 0.03, "batch_size": 100}
    world.sql("insert into users select g, 'n' || g, g from generate_series(1, 1500) g")
    kill_a_backfill(world, random.Random("chunks"), kills=3)


def test_a_resync_that_is_killed_at_each_point_is_seen_by_no_reader_before_it_is_whole(world: World) -> None:
    world.tables[0] |= {"load": "stage", "max_mb_per_chunk": 0.03, "batch_size": 100}
    world.sql("insert into users select g, 'n' || g, g from generate_series(1, 800) g")
    assert_recovered(world)
    kill_a_resync(world)


def test_killed_while_rows_that_never_change_are_copied(synced: World) -> None:
    """In the transaction of the copy, and when it is committed and nobody knows: each row is there once."""
    synced.tables[0] |= {"insert_only": True}
    kill_while_rows_are_copied(synced)


@pytest.mark.parametrize(
    "points",
    [
        ("staged", "copied"),
        pytest.param(
            [point for point in DEFERRED_POINTS if point not in ("staged", "copied")],
            marks=pytest.mark.thorough,
        ),
    ],
    ids=["some", "others"],
)
def test_killed_between_staging_and_loading(in_bucket: World, points: Sequence[str]) -> None:
    """With `load_every`, and rows of an earlier tick that wait: each tick loads what the one before has staged."""
    in_bucket.sql("insert into users select g, 'n' || g, g from generate_series(1, 200) g")
    assert_recovered(in_bucket)
    in_bucket.tables[0] |= {"load_every": "1ms"}
    for phase in points:
        rnd = random.Random(phase)
        change_source(in_bucket, rnd)
        assert tick(in_bucket).wait() == 0
        kill_at(in_bucket, phase, rnd)
