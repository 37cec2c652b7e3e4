"""A large table is read chunk by chunk: resumed wherever it was broken off, and equal whatever is written meanwhile."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from pgsnow.model.errors import SourceUnavailable
from pgsnow.model.report import Status, TableReport
from pgsnow.sync.runtime.events import Event, ignore
from pgsnow.testing.faults import RaiseAt
from tests.world import USERS_TABLE, MemoryWorld, World

SOME = "insert into users select g, 'user ' || g, g * 1.25, jsonb_build_object('n', g) from generate_series({}, {}) g"
ROWS = 1000
SMALL = {"max_mb_per_chunk": 0.04, "batch_size": 200}
"""Three blocks of 8 kB a chunk."""


@pytest.fixture
def large(world: World) -> World:
    return filled(world)


@pytest.fixture
def large_in_memory(memory_world: MemoryWorld) -> World:
    return filled(memory_world)


def filled(world: World) -> World:
    """Users whose table is of several chunks."""
    world.tables[0] |= SMALL
    world.sql(SOME.format(1, ROWS))
    return world


def tick(world: World, observer: Callable[[Event], None] = ignore, **options: Any) -> TableReport:
    with world.engine(observer) as engine:
        return engine.tick(**options).tables[0]


def broken_off(world: World, nth: int, **options: Any) -> None:
    """A tick that fails right after its nth chunk."""
    failed = tick(world, RaiseAt("chunk", SourceUnavailable("cut"), nth), **options)
    assert failed.status is Status.ERROR


def chunks(world: World) -> list[tuple[str, int]]:
    """State and attempts of each."""
    return [
        (state, int(tries))
        for state, tries in world.sql("select state, attempts from sync_chunks order by number")
    ]


def test_a_large_table_is_loaded_in_chunks_and_followed_from_then_on(large_in_memory: World) -> None:
    told: list[tuple[int, int]] = []
    first = tick(
        large_in_memory, lambda event: told.append((event.done, event.of)) if event.phase == "chunk" else None
    )
    assert (first.status, first.rows_inserted, first.full_read) == (Status.OK, ROWS, "first read")
    known = chunks(large_in_memory)
    assert len(known) > 3
    assert set(known) == {("done", 1)}
    assert told == [(n, len(known)) for n in range(1, len(known) + 1)]
    assert large_in_memory.sql("select sum(rows), min(bytes) > 0 from sync_chunks") == [(ROWS, True)]
    large_in_memory.sql("update users set name = 'changed', updated_at = now() where id in (3, 5)")
    second = tick(large_in_memory)
    assert (second.rows_updated, second.full_read) == (2, None)
    large_in_memory.assert_equal()
    assert large_in_memory.leftovers() == []


class Writers:
    """At each chunk: rows that move to where others were, in both directions, and transactions that stay open."""

    def __init__(self, world: World, rnd: random.Random) -> None:
        self._world = world
        self._rnd = rnd
        self._touch = ", updated_at = now()" if world.tables[0].get("mode") != "xmin" else ""
        self._slow = psycopg.connect(world.env["POSTGRES_DSN"])
        self._slow.execute(f"update users set name = 'slow'{self._touch} where id % 31 = 7")
        self._commit_at = rnd.randint(1, 3)
        self.moved_back = 0

    def __call__(self, event: Event) -> None:
        if event.phase != "chunk":
            return
        if event.done == self._commit_at:
            self._slow.commit()
            self._slow.close()
        world, rnd = self._world, self._rnd
        (end,) = world.sql(f"select end_block from sync_chunks where number = {event.done - 1}")[0]
        for _ in range(rnd.randint(1, 3)):
            self._change(rnd.choice((3, 17, 101)), rnd.randint(0, 2))
        if end is not None:
            back = f"select count(*) from users where name like 'fast%' and ctid < '({end},0)'"
            self.moved_back += world.sql(back)[0][0]
        if rnd.random() < 0.5:
            world.sql("vacuum users")

    def _change(self, modulus: int, rest: int) -> None:
        rows = f"id % 31 <> 7 and id % {modulus} = {rest}"
        kind = self._rnd.randint(0, 2)
        if kind == 0:
            self._world.sql(f"update users set name = 'fast ' || random(){self._touch} where {rows}")
        elif kind == 1:  # the same keys at other places
            self._world.sql(
                f"with gone as (delete from users where {rows} returning *) select * into temp moved from gone;"
                "insert into users select id, 'fast again', balance, profile from moved; drop table moved"
            )
        else:
            top = self._world.sql("select max(id) from users")[0][0]
            self._world.sql(SOME.format(top + 1, top + self._rnd.randint(1, 40)))


@pytest.mark.parametrize(("mode", "seed"), [("watermark", 1), ("xmin", 2)])
def test_nothing_is_missing_or_stale_whatever_moves_between_the_chunks(
    large_in_memory: World, mode: str, seed: int
) -> None:
    large_in_memory.tables[0] |= {"mode": mode}
    large_in_memory.sql("delete from users where id % 5 = 0")
    large_in_memory.sql("vacuum users")  # room in all blocks for rows from others
    writers = Writers(large_in_memory, random.Random(seed))
    report = tick(large_in_memory, writers)
    assert (report.status, report.rows_rejected) == (Status.OK, 0)
    assert writers.moved_back > 0
    tick(large_in_memory)
    large_in_memory.assert_equal()


def test_a_target_that_was_dropped_meanwhile_is_filled_from_the_beginning(large: World) -> None:
    broken_off(large, 2)
    large.snowflake("DROP TABLE ANALYTICS.USERS")
    assert tick(large).status is Status.OK
    large.assert_equal()
    assert large.leftovers() == []


def test_a_tree_of_tables_is_cut_through_all_of_them_side_by_side(memory_world: MemoryWorld) -> None:
    memory_world.sql(
        "create table events (id bigint, kind int, updated_at timestamptz default now(), primary key (id, kind))"
        " partition by list (kind);"
        "create table events_1 partition of events for values in (1);"
        "create table events_2 partition of events for values in (2);"
        "create table events_3 partition of events for values in (3);"
        "insert into events select g, 1 + (g % 10) / 4 from generate_series(1, 3000) g"
    )
    table = {
        **USERS_TABLE,
        **SMALL,
        "source": "public.events",
        "target": "analytics.events",
        "pk": ["id", "kind"],
    }
    memory_world.tables = [table]
    broken_off(memory_world, 2)
    assert tick(memory_world).status is Status.OK
    assert len(chunks(memory_world)) > 3
    assert memory_world.sql("select sum(rows), max(attempts) from sync_chunks") == [(3000, 1)]
    memory_world.assert_equal()


def test_a_resync_puts_the_new_content_in_place_at_once(large: World) -> None:
    """Rows that are gone from the source are gone, and until then the target has all that it had."""
    tick(large)
    large.sql("delete from users where id % 10 = 3")
    large.sql("update users set name = 'unnoticed' where id % 10 = 4")
    large.tables[0] |= {"max_rows_per_load": 400}
    seen: list[tuple[int, int]] = []

    def look(event: Event) -> None:
        if event.phase in ("written", "copied"):
            seen.extend(large.snowflake("SELECT COUNT(*), COUNT_IF(NAME = 'unnoticed') FROM ANALYTICS.USERS"))

    report = tick(large, look, resync=True)
    assert (report.status, report.rows_inserted) == (Status.OK, ROWS * 9 // 10)
    assert len(seen) > 2
    assert set(seen) == {(ROWS, 0)}
    large.assert_equal()
    assert tick(large).status is Status.IDLE


def test_a_target_dropped_after_the_last_chunk_is_filled_by_the_next_run(large: World) -> None:
    def drop(event: Event) -> None:
        if event.phase == "chunk" and event.done == event.of:
            large.snowflake("DROP TABLE ANALYTICS.USERS")

    assert tick(large, drop).error_type == "TargetMissing"
    assert tick(large).status is Status.OK
    large.assert_equal()
    assert large.leftovers() == []
