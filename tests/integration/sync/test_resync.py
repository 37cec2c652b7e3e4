"""A large table's content is gathered beside the live one, chunk by chunk, and put in its place at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest

from pgsnow.model.errors import SourceUnavailable, TargetUnavailable
from pgsnow.model.report import Status, TableReport
from pgsnow.snowflake.session import connect
from pgsnow.sync.runtime.events import Event, ignore
from pgsnow.testing.faults import AtPhase, RaiseAt
from tests.world import MemoryWorld, World

ROWS = 1000
SOME = (
    "insert into users select g, 'user ' || g, 1, jsonb_build_object('n', g) from generate_series({}, {}) g"
)


def tick(world: World, observer: Callable[[Event], None] = ignore, **options: Any) -> TableReport:
    with world.engine(observer) as engine:
        return engine.tick(**options).tables[0]


@pytest.fixture
def in_snowflake(world: World) -> World:
    """A target whose rows are all out of date in one way or another: changed by hand, missing, of no source."""
    fill(world)
    world.snowflake("UPDATE ANALYTICS.USERS SET BALANCE = 3")
    world.snowflake("DELETE FROM ANALYTICS.USERS WHERE ID % 10 = 0")
    world.sql("delete from users where id % 100 = 1")
    return world


@pytest.fixture
def live(memory_world: MemoryWorld) -> MemoryWorld:
    """The same target in memory."""
    fill(memory_world)
    users = memory_world.target()
    users.rows = [{**row, "BALANCE": Decimal(3)} for row in users.rows if row["ID"] % 10]
    memory_world.sql("delete from users where id % 100 = 1")
    return memory_world


def fill(world: World) -> None:
    world.tables[0] |= {"max_mb_per_chunk": 0.04, "batch_size": 200}
    world.sql(SOME.format(1, ROWS))
    assert tick(world).status is Status.OK


def beside(world: World) -> int:
    return sum("USERS__PGSNOW_" in name for name in world.leftovers())


@contextmanager
def read_all_the_time(world: World) -> Iterator[set[tuple[Any, ...]]]:
    """What a reader of the target sees meanwhile: rows and their sum."""
    seen: set[tuple[Any, ...]] = set()
    done = threading.Event()

    def look() -> None:
        with connect(world.settings.snowflake, query_tag="reader") as session:
            while not done.is_set():
                ((rows, total),) = session.execute("SELECT COUNT(*), SUM(BALANCE) FROM ANALYTICS.USERS").rows
                seen.add((int(rows), int(total)))

    reader = threading.Thread(target=look)
    reader.start()
    try:
        yield seen
    finally:
        done.set()
        reader.join()


def test_readers_see_the_content_before_or_the_one_after_whatever_breaks_off(in_snowflake: World) -> None:
    live = in_snowflake
    with read_all_the_time(live) as seen:
        for phase, nth in (("chunk", 2), ("put", 1), ("copied", 1), ("replaced", 1)):
            broken = tick(
                live, RaiseAt(phase, RuntimeError("cut"), nth=nth), resync=phase == "chunk", requested=True
            )
            assert broken.status is Status.ERROR, (phase, broken)
            assert beside(live) == 1
        last = tick(live, requested=True)
    assert last.status is Status.OK
    assert seen == {(900, 2700), (990, 990)}
    live.assert_equal()
    assert live.leftovers() == []
    assert live.sql("select count(distinct backfill), max(attempts) from sync_chunks") == [(1, 3)]
    assert f"replaced the content of {last.target}: 990 rows" in last.events


def test_what_is_written_meanwhile_is_there_too(live: MemoryWorld) -> None:
    def write() -> None:
        live.sql("update users set name = 'moved', updated_at = now() where id % 7 = 0")
        live.sql(SOME.format(ROWS + 1, ROWS + 30))

    report = tick(live, AtPhase("chunk", write, nth=2), resync=True)
    assert report.status is Status.OK
    live.assert_equal()
    assert live.leftovers() == []


def test_a_copy_whose_answer_was_lost_is_not_doubled(live: MemoryWorld) -> None:
    report = tick(live, RaiseAt("copied", TargetUnavailable("the reply was lost"), nth=2), resync=True)
    assert report.status is Status.OK
    assert sum(int(rows) for rows, *_ in live.sql("select rows from sync_chunks")) == 990
    live.assert_equal()
    assert len(live.target().rows) == 990


def test_what_was_gathered_for_a_resync_that_was_given_up_is_swept(live: MemoryWorld) -> None:
    tick(live, RaiseAt("chunk", SourceUnavailable("cut")), resync=True)
    assert beside(live) == 1
    live.tables[0] |= {"where": "id > 100"}  # another content: it begins anew
    assert tick(live, resync=True).status is Status.OK
    live.assert_equal()
    assert beside(live) == 0
    tick(live)  # files of chunks that were done
    assert live.leftovers() == []


def test_a_table_beside_that_somebody_dropped_makes_it_begin_anew(live: MemoryWorld) -> None:
    def drop() -> None:
        (name,) = [name for name in live.leftovers() if "USERS__PGSNOW_" in name]
        del live.warehouse.staging[name]

    report = tick(live, AtPhase("chunk", drop, nth=2), resync=True)
    assert report.status is Status.OK, report.error
    live.assert_equal()
    assert live.leftovers() == []


def test_rows_that_are_merged_are_gathered_too(live: MemoryWorld) -> None:
    live.tables[0] |= {"transform": {"function": "tests.unit.sync.transform_examples:same"}}
    broken = tick(live, RaiseAt("chunk", SourceUnavailable("cut"), nth=2), resync=True)
    assert broken.status is Status.ERROR
    assert tick(live).status is Status.OK
    assert len(live.target().rows) == 990
    assert live.leftovers() == []


def test_errors_are_not_replayed_into_a_content_that_is_about_to_give_way(live: MemoryWorld) -> None:
    """What is gathered stays, and the error open: the row would go again with what the target has now."""
    live.sql("update users set balance = 'NaN', updated_at = now() where id = 5")
    assert tick(live).status is Status.PARTIAL
    failed = tick(live, RaiseAt("chunk", SourceUnavailable("cut"), 2), resync=True)
    assert (failed.status, beside(live)) == (Status.ERROR, 1)
    with live.engine() as engine:
        [error] = engine.ledger.rejected_rows.listed()
        report = engine.replay([error.id]).tables[0]
        assert (report.status, beside(live)) == (Status.LOCKED, 1)
        assert [row.state for row in engine.ledger.rejected_rows.listed(state=None)] == ["open"]
        live.sql("update users set balance = 1, updated_at = now() where id = 5")
        assert engine.tick().tables[0].status is Status.OK
        assert live.sql("select max(attempts) from sync_chunks where number < 2") == [(1,)]
        assert [row.state for row in engine.ledger.rejected_rows.listed(state=None)] == ["replayed"]
    live.assert_equal()
    assert live.leftovers() == []
