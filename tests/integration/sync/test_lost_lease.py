"""A run whose table was taken over while it uploaded or copied leaves nothing outside that nobody would remove."""

from __future__ import annotations

import pytest

from pgsnow.model.report import Status
from pgsnow.testing.faults import AtPhase
from tests.world import MemoryWorld

ROWS = "insert into users select g, 'user ' || g, g, '{}' from generate_series(1, 1000) g"
TAKEN_OVER = "update sync_watermarks set fence = fence + 1, open_batches = '{}'"
CHUNK_TAKEN_OVER = "update sync_chunks set fences = fences || 1000000::bigint, open_batches = '{}'"
"""As who takes it leaves the ledger once what it found there is swept."""


@pytest.fixture
def users(memory_world: MemoryWorld) -> MemoryWorld:
    memory_world.tables[0] |= {"load": "stage"}
    memory_world.sql(ROWS)
    return memory_world


def changed(world: MemoryWorld) -> None:
    """After a first load."""
    with world.engine() as engine:
        assert engine.tick().tables[0].rows_inserted == 1000
    world.sql("update users set name = 'changed', updated_at = now()")


def lose(world: MemoryWorld, phase: str, statement: str = TAKEN_OVER) -> None:
    losing = AtPhase(phase, lambda: world.sql(statement))
    with world.engine(losing) as engine:
        report = engine.tick().tables[0]
    assert losing.fired
    assert (report.status, report.error_type) == (Status.LOCKED, "LeaseLost")


def assert_clean_and_equal_afterwards(world: MemoryWorld) -> None:
    assert world.leftovers() == []
    with world.engine() as engine:
        assert engine.tick().tables[0].status is Status.OK
    world.assert_equal()


def test_a_first_load_removes_the_files_that_it_put_there(users: MemoryWorld) -> None:
    lose(users, "put")
    assert_clean_and_equal_afterwards(users)


@pytest.mark.parametrize("phase", ["put", "copied"])
def test_a_merge_removes_its_files_and_its_staging_table(users: MemoryWorld, phase: str) -> None:
    changed(users)
    lose(users, phase)
    assert_clean_and_equal_afterwards(users)


def test_what_was_to_wait_in_the_stage_is_removed(users: MemoryWorld) -> None:
    changed(users)
    users.tables[0]["load_every"] = "50d"
    lose(users, "put")
    users.tables[0]["load_every"] = 0
    assert_clean_and_equal_afterwards(users)


def test_a_chunk_removes_the_files_that_it_put_there(users: MemoryWorld) -> None:
    users.tables[0] |= {"max_mb_per_chunk": 0.04, "batch_size": 200}
    lose(users, "put", CHUNK_TAKEN_OVER)
    assert users.leftovers() == []


def test_nothing_is_removed_that_another_run_may_need(users: MemoryWorld) -> None:
    """What waits was staged by a run before, and is the table's."""
    changed(users)
    users.tables[0]["load_every"] = "50d"
    with users.engine() as engine:
        engine.tick()
    waiting = users.leftovers()
    assert waiting
    users.sql("update users set name = 'again', updated_at = now()")
    lose(users, "put")
    assert users.leftovers() == waiting
