"""Chunks of one backfill loaded side by side: by threads of one run, and by whoever comes."""

from __future__ import annotations

import random

import pytest

from pgsnow.model.report import Status
from pgsnow.sync.engine import Engine
from pgsnow.sync.runtime.events import Event
from tests.integration.sync.test_backfill import ROWS, SMALL, SOME, Writers, chunks, tick
from tests.world import MemoryWorld, World


@pytest.fixture
def large(world: World) -> World:
    return filled(world)


@pytest.fixture
def large_in_memory(memory_world: MemoryWorld) -> World:
    return filled(memory_world)


def filled(world: World) -> World:
    """Users whose table is of several chunks, of which three may be loaded at once."""
    world.tables[0] |= {**SMALL, "max_parallel_chunks": 3}
    world.sql(SOME.format(1, ROWS))
    return world


@pytest.mark.parametrize(("mode", "seed"), [("watermark", 3), ("xmin", 4)])
def test_nothing_is_missing_or_stale_whatever_moves_while_three_load(
    large_in_memory: World, mode: str, seed: int
) -> None:
    large_in_memory.tables[0] |= {"mode": mode}
    large_in_memory.sql("delete from users where id % 5 = 0")
    large_in_memory.sql("vacuum users")  # room in all blocks for rows from others
    writers = Writers(large_in_memory, random.Random(seed))
    report = tick(large_in_memory, writers)
    assert (report.status, report.rows_rejected) == (Status.OK, 0)
    assert writers.moved_back > 0
    fences = [
        fence
        for fences, _ in large_in_memory.sql("select fences, number from sync_chunks")
        for fence in fences
    ]
    assert len(fences) == len(set(fences)) == len(chunks(large_in_memory))
    tick(large_in_memory)
    large_in_memory.assert_equal()
    assert large_in_memory.leftovers() == []


def test_a_target_that_was_dropped_while_others_load_is_filled_from_the_beginning(large: World) -> None:
    with large.engine() as engine:
        engine.tick(leave_chunks=True)
        assert engine.take_chunk() is not None
        large.snowflake("DROP TABLE ANALYTICS.USERS")
        with pytest.raises(Exception, match="the target was gone"):
            engine.take_chunk()
        assert engine.take_chunk() is None
        assert engine.tick().tables[0].status is Status.OK
    large.assert_equal()
    assert large.leftovers() == []


def test_a_chunk_that_is_merged_while_another_worker_adds_rows_is_loaded_once(large: World) -> None:
    """The target's number of rows belongs to all chunks together: none of them finds it altered."""
    large.tables[0] |= {"transform": {"cast": {"id": "bigint"}}}  # a changed key is merged, not copied
    others: list[Engine] = []

    def another_worker(event: Event) -> None:
        if event.phase == "put" and others:
            assert others.pop().take_chunk() is not None

    with large.new_engine() as other, large.new_engine(another_worker) as engine:
        engine.tick(leave_chunks=True)
        others.append(other)
        while engine.take_chunk() is not None:
            pass
    assert others == []
    assert {attempts for _, attempts in chunks(large)} == {1}
    assert tick(large).ok
    large.assert_equal()
