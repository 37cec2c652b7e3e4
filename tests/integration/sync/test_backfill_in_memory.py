"""A backfill goes on where it was interrupted, and starts over if the table or its configuration was altered.

The target is in memory; test_backfill.py has what needs Snowflake.
"""

from __future__ import annotations

import pytest

from pgsnow.model.report import Status
from pgsnow.sync.engine import Engine
from pgsnow.testing.faults import AtPhase
from tests.integration.sync.test_backfill import ROWS, SMALL, SOME, broken_off, chunks, tick
from tests.world import MemoryWorld


@pytest.fixture
def large(memory_world: MemoryWorld) -> MemoryWorld:
    """Users whose table is of several chunks."""
    memory_world.tables[0] |= SMALL
    memory_world.sql(SOME.format(1, ROWS))
    return memory_world


def test_what_was_broken_off_goes_on_with_the_chunks_that_are_left(large: MemoryWorld) -> None:
    broken_off(large, 1)
    stopped: list[Engine] = []
    with large.engine(AtPhase("chunk", lambda: stopped[0].stop())) as engine:
        stopped.append(engine)
        assert engine.tick().tables[0].status is Status.STOPPED
    report = tick(large)
    assert report.status is Status.OK
    assert any(event.startswith("the backfill continues with") for event in report.events), report.events
    known = chunks(large)
    assert {state for state, _ in known} == {"done"}
    assert sum(tries for _, tries in known) <= len(known) + 1
    assert large.sql("select count(distinct run_id) from sync_chunks") == [(3,)]
    large.assert_equal()
    assert large.leftovers() == []


@pytest.mark.parametrize(
    ("ddl", "anew"),
    [
        ("create index on users (name)", False),
        ("vacuum full users; alter table users add column kind text default 'old'", True),
    ],
)
def test_a_table_altered_between_two_chunks(large: MemoryWorld, ddl: str, anew: bool) -> None:
    """What leaves rows where and as they are costs nothing; else the chunks that are done are of no use."""
    ids: list[int] = []

    def alter() -> None:
        ids.extend(large.sql("select backfill from sync_watermarks")[0])
        for statement in ddl.split(";"):
            large.sql(statement)

    report = tick(large, AtPhase("chunk", alter, 2))
    assert report.status is Status.OK
    assert (large.sql("select id from sync_backfills") != [tuple(ids)]) is anew
    assert sum(tries for _, tries in chunks(large)) <= len(chunks(large)) + (not anew)
    large.assert_equal()


def test_another_configuration_or_other_values_begin_anew(large: MemoryWorld) -> None:
    large.sql("create type mood as enum ('sad', 'glad'); alter table users add column mood mood")
    large.sql("update users set mood = 'sad'")
    broken_off(large, 1)
    large.tables[0] |= {"where": "id > 100"}
    broken_off(large, 1)
    large.sql("alter type mood rename value 'sad' to 'blue'")
    report = tick(large)
    assert "the backfill starts over: the table or its configuration was altered" in report.events
    assert large.sql("select sum(rows) from sync_chunks") == [(ROWS - 100,)]
    assert {row["MOOD"] for row in large.target().rows if row["ID"] > 100} == {"blue"}


def test_a_refresh_that_was_broken_off_is_ended_by_the_next_tick_which_deletes_what_is_gone(
    large: MemoryWorld,
) -> None:
    tick(large)
    large.sql("delete from users where id % 10 = 3")
    large.sql("vacuum users")
    broken_off(large, 2, full_refresh=True)
    large.sql("update users set name = 'moved', updated_at = now() where id > 900")
    report = tick(large)
    assert report.status is Status.OK
    assert f"deleted {ROWS // 10} rows that are gone from the source" in report.events
    large.assert_equal()


def test_bad_rows_are_set_aside_chunk_by_chunk(large: MemoryWorld) -> None:
    large.sql("alter table users add column seen timestamp")
    large.sql("update users set seen = 'infinity' where id in (10, 990)")
    broken_off(large, 2)
    report = tick(large)
    assert report.status is Status.PARTIAL
    assert large.sql("select sum(rows), sum(rows_rejected) from sync_chunks") == [(ROWS - 2, 2)]
    assert large.sql("select count(*) from sync_errors where state = 'open'") == [(2,)]


def test_a_table_of_one_chunk_leaves_nothing_in_the_ledger(memory_world: MemoryWorld) -> None:
    memory_world.sql(SOME.format(1, 100))
    assert tick(memory_world).status is Status.OK
    assert memory_world.sql("select count(*) from sync_backfills") == [(0,)]
