"""Chunks of one backfill loaded by threads of one run and by other processes, without one being loaded twice.

The target is in memory; test_parallel_chunks.py has what needs Snowflake.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from pgsnow.model.errors import SchemaMoved, ShuttingDown, SourceUnavailable
from pgsnow.model.report import ChunkReport, Status
from pgsnow.sync.engine import Engine
from pgsnow.testing.faults import AtPhase, RaiseAt
from tests.integration.sync.test_backfill import ROWS, SMALL, SOME, chunks, tick
from tests.world import MemoryWorld

HELD = "select number from sync_chunks where lease_holder is not null"


@pytest.fixture
def large(memory_world: MemoryWorld) -> MemoryWorld:
    """Users whose table is of several chunks, of which three may be loaded at once."""
    memory_world.tables[0] |= {**SMALL, "max_parallel_chunks": 3}
    memory_world.sql(SOME.format(1, ROWS))
    return memory_world


def test_what_fails_in_one_thread_costs_the_others_nothing(large: MemoryWorld) -> None:
    failed = tick(large, RaiseAt("written", SourceUnavailable("cut"), 2))
    assert (failed.status, failed.error) == (Status.ERROR, "cut")
    assert large.sql(HELD) == []
    begun = [state for state, tries in chunks(large) if tries]
    assert begun.count("open") <= 1  # another thread may have taken it before the failure was known
    assert tick(large).status is Status.OK
    assert sum(tries for _, tries in chunks(large)) == len(chunks(large)) + 1
    large.assert_equal()
    assert large.leftovers() == []


def test_others_may_load_the_chunks_of_a_backfill_that_a_tick_has_begun(large: MemoryWorld) -> None:
    with large.engine() as engine:
        begun = engine.tick(leave_chunks=True).tables[0]
        assert (begun.status, begun.error_type) == (Status.LOCKED, "BackfillUnderWay")
        assert begun.chunks_left == begun.chunks_waiting == len(chunks(large)) > 3
        assert large.sql("select lease_holder from sync_watermarks") == [(None,)]

    def take_all(_: int) -> list[ChunkReport]:
        with large.engine() as engine:
            return list(iter(lambda: engine.take_chunk("public.users"), None))

    with ThreadPoolExecutor(2) as pool:
        taken = [report for reports in pool.map(take_all, range(2)) for report in reports]
    assert sorted(report.number for report in taken) == list(range(begun.chunks_left))
    assert sum(report.rows for report in taken) == ROWS
    assert min(report.left for report in taken) == 0
    assert set(chunks(large)) == {("done", 1)}
    rows = "select sum(rows_inserted), count(*), min(status) from sync_logs where status <> 'locked'"
    assert large.sql(rows) == [(ROWS, len(taken), "ok")], "each chunk is logged by the worker that loads it"
    assert large.sql("select rows_inserted, runs_ok from sync_counters") == [(ROWS, len(taken))]
    assert large.sql("select last_status from sync_watermarks") == [(None,)], (
        "the table itself has not run yet"
    )
    large.sql("update users set name = 'changed', updated_at = now() where id = 3")
    with large.engine() as engine:
        assert engine.take_chunk() is None
        ended = engine.tick(leave_chunks=True).tables[0]
        assert (ended.status, ended.rows_updated, ended.chunks_left) == (Status.OK, 1, 0)
        assert engine.tick(leave_chunks=True).tables[0].status is Status.IDLE
    large.assert_equal()
    assert large.leftovers() == []


def test_a_tick_loads_the_chunks_that_nobody_has_and_leaves_the_table_to_those_who_have_the_others(
    large: MemoryWorld,
) -> None:
    with large.engine() as engine, large.engine() as other:
        engine.tick(leave_chunks=True)
        taken = other.ledger.backfills.claim_chunk({"public.users": 3}, run_id="other", holder="other")
        assert taken is not None
        report = engine.tick().tables[0]
        assert (report.status, report.chunks_left, report.chunks_waiting) == (Status.LOCKED, 1, 0)
        other.ledger.leases.release([taken.claim])
        assert engine.tick().tables[0].ok
    assert sorted(tries for _, tries in chunks(large))[-2:] == [1, 2]
    large.assert_equal()


def test_a_chunk_of_a_table_that_was_altered_is_left_to_the_tables_run(large: MemoryWorld) -> None:
    with large.engine() as engine:
        engine.tick(leave_chunks=True)
        assert engine.take_chunk() is not None
        large.sql("alter table users add column kind text default 'old'")
        with pytest.raises(SchemaMoved):
            engine.take_chunk()
        assert large.sql(HELD) == []
        anew = engine.tick(leave_chunks=True).tables[0]
        assert anew.chunks_left == anew.chunks_waiting == len(chunks(large))
        while engine.take_chunk() is not None:
            pass
        assert engine.tick(leave_chunks=True).tables[0].ok
    large.assert_equal()
    assert large.leftovers() == []


def test_a_chunk_that_is_asked_to_stop_is_given_back_at_once_and_nothing_of_it_counts(
    large: MemoryWorld,
) -> None:
    large.tables[0] |= {"batch_size": 50}  # several pages a chunk
    engines: list[Engine] = []
    with large.engine(AtPhase("read", lambda: engines[0].stop())) as engine:
        engines.append(engine)
        engine.tick(leave_chunks=True)
        with pytest.raises(ShuttingDown):
            engine.take_chunk()
        assert large.sql(HELD) == []
        assert {state for state, _ in chunks(large)} == {"open"}
    with large.engine() as engine:
        assert engine.tick().tables[0].status is Status.OK
    large.assert_equal()


def test_a_row_that_a_chunk_rejected_and_that_was_mended_meanwhile_is_no_error_any_more(
    large: MemoryWorld,
) -> None:
    large.sql("alter table users add column seen timestamp")
    large.sql("update users set seen = 'infinity' where id in (10, 20)")
    with large.engine() as engine:
        engine.tick(leave_chunks=True)
        while engine.take_chunk() is not None:
            pass
        open_errors = "select key ->> 'id' from sync_errors where state = 'open' order by id"
        assert sorted(large.sql(open_errors)) == [("10",), ("20",)]
        large.sql("update users set seen = now(), updated_at = now() where id = 10")
        engine.tick(leave_chunks=True)
        assert large.sql(open_errors) == [("20",)]
