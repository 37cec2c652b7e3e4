"""A large table that cannot be read by ranges of blocks is read by ranges of its key, with the same promises.

Tables of another access method than heap stand for those, and for servers before PostgreSQL 14: the same code serves
both. The method here is heap under another name.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from pgsnow.model.errors import SourceUnavailable
from pgsnow.model.report import Status, TableReport
from pgsnow.sync.runtime.events import Event, ignore
from pgsnow.testing.faults import RaiseAt
from tests.world import USERS_TABLE, MemoryWorld, World

TABLE = """
create access method other type table handler heap_tableam_handler;
drop table users;
create table users ({key}, name text, updated_at timestamptz not null default now()) using other;
create index on users (updated_at)
"""
ROWS = 1000
KEYS = {
    "bigint": "g",
    "smallint": "g - 500",
    "numeric": "case g when 1 then 'NaN' else trim_scale((g - 500) / 7.0) end",
    "double precision": "case g when 1 then 'NaN' when 2 then '-Infinity' else 1 / (g - 500.5) end",
    "text": "case g when 1 then '' else chr(32 + g % 90) || '''\\%' || g end",
    'text collate "C"': "chr(32 + (g * 7) % 3000) || g",
    "char(6)": "left(md5(g::text), 3) || g % 1000",
    "uuid": "md5(g::text)::uuid",
    "bytea": "decode(md5(g::text), 'hex')",
    "date": "date '2024-01-01' + g",
    "timestamptz": "now() - g * interval '1.000001 s'",
    "inet": "'10.0.0.0'::inet + g * 77",
    "boolean_and_int": "g % 2 = 0",
}


@pytest.fixture
def world(memory_world: MemoryWorld) -> World:
    """How ranges are cut, read and continued does not depend on the target."""
    return memory_world


def made(world: World, key: str = "id bigint primary key") -> World:
    for statement in TABLE.format(key=key).split(";"):
        world.sql(statement)
    world.tables[0] |= {"max_mb_per_chunk": 0.03, "batch_size": 100}
    return world


@pytest.fixture
def keyed(world: World) -> World:
    made(world)
    world.sql(f"insert into users select g, 'n' || g from generate_series(1, {ROWS}) g")
    return world


def tick(world: World, observer: Callable[[Event], None] = ignore, **options: Any) -> TableReport:
    with world.engine(observer) as engine:
        return engine.tick(**options).tables[0]


def ranges(world: World) -> list[tuple[str | None, str | None]]:
    return [
        (first, end) for first, end in world.sql("select first_key, end_key from sync_chunks order by number")
    ]


def test_a_first_load_goes_range_by_range_and_the_table_is_followed_from_then_on(keyed: World) -> None:
    report = tick(keyed)
    assert (report.status, report.rows_inserted, report.full_read) == (Status.OK, ROWS, "first read")
    known = ranges(keyed)
    assert len(known) > 2
    assert (known[0][0], known[-1][1]) == (None, None)
    assert [end for _, end in known[:-1]] == [first for first, _ in known[1:]]
    assert keyed.sql("select sum(rows), min(rows) > 0, count(first_block) from sync_chunks") == [
        (ROWS, True, 0)
    ]
    keyed.sql("update users set name = 'changed', updated_at = now() where id in (3, 5)")
    assert tick(keyed).rows_updated == 2
    keyed.assert_equal()
    assert keyed.leftovers() == []


def test_every_kind_of_key_can_be_cut(world: World) -> None:
    """Each row is in one range, whatever the order of its type and the characters in its text; and no range has most of
    them. One tick of a table for each kind."""
    world.sql("create access method other type table handler heap_tableam_handler")
    world.tables = []
    for at, (kind, value) in enumerate(KEYS.items()):
        both = kind == "boolean_and_int"
        columns = "id boolean, n int, primary key (id, n)" if both else f"id {kind} primary key"
        world.sql(
            f"create table t{at} ({columns}, name text, updated_at timestamptz not null default now()) using other;"
            f" create index on t{at} (updated_at);"
            f" insert into t{at} select {value}, {'g, ' if both else ''}'n' from generate_series(1, {ROWS}) g"
        )
        more = {"pk": ["id", "n"] if both else "id", "max_mb_per_chunk": 0.01, "batch_size": 100}
        world.tables.append({**USERS_TABLE, "source": f"public.t{at}", "target": f"analytics.t{at}", **more})
    with world.engine() as engine:
        reports = engine.tick().tables
    assert {report.rows_read for report in reports} == {ROWS}
    rejecting = {kind for kind, report in zip(KEYS, reports, strict=True) if report.rows_rejected}
    assert rejecting <= {"numeric", "double precision"}, "only what is not finite is refused"
    cuts = dict(
        world.sql(
            "select source_table, (count(*), max(rows) <= 500)::text from sync_chunks c"
            " join sync_backfills b on b.id = c.backfill group by 1"
        )
    )
    for at, kind in enumerate(KEYS):
        count, fair = cuts[f"public.t{at}"].strip("()").split(",")
        assert (int(count) > (1 if kind == "boolean_and_int" else 6), fair) == (True, "t"), (kind, count)
    world.assert_equal()


def test_nothing_is_missing_or_stale_whatever_is_written_between_the_ranges(keyed: World) -> None:
    rnd = random.Random(3)

    def write(event: Event) -> None:
        if event.phase != "chunk":
            return
        rest, low, top = rnd.randint(0, 12), *keyed.sql("select min(id), max(id) from users")[0]
        keyed.sql(f"update users set name = 'new', updated_at = now() where id % 13 = {rest}")
        keyed.sql(f"insert into users select g, 'below' from generate_series({low - 20}, {low - 1}) g")
        keyed.sql(f"insert into users select g, 'above' from generate_series({top + 1}, {top + 20}) g")

    assert tick(keyed, write).status is Status.OK
    tick(keyed)
    keyed.assert_equal()


def test_what_was_broken_off_goes_on_with_the_ranges_that_are_left(keyed: World) -> None:
    failed = tick(keyed, RaiseAt("chunk", SourceUnavailable("cut"), 2))
    assert failed.status is Status.ERROR
    known = ranges(keyed)
    keyed.sql("delete from users where id > 900")
    report = tick(keyed)
    assert report.status is Status.OK
    assert any(event.startswith("the backfill continues with") for event in report.events), report.events
    assert ranges(keyed) == known
    assert keyed.sql("select sum(attempts) from sync_chunks")[0][0] <= len(known) + 1


def test_a_row_without_a_key_is_refused_once(world: World) -> None:
    made(world, "id bigint unique")
    world.sql(f"insert into users select nullif(g, 7), 'n' from generate_series(1, {ROWS}) g")
    report = tick(world)
    assert (report.rows_read, report.rows_rejected) == (ROWS, 1)
    assert len(ranges(world)) > 2


def test_a_key_that_no_index_leads_to_is_not_cut(world: World) -> None:
    """Each range would be a look at all of the table."""
    made(world, "id bigint, n int, primary key (n, id)")
    world.tables[0]["pk"] = ["id", "n"]
    world.sql(f"insert into users select g, g % 7, 'n' from generate_series(1, {ROWS}) g")
    assert tick(world).rows_inserted == ROWS
    assert ranges(world) == []
    world.assert_equal()


def test_a_resync_goes_by_ranges_too(keyed: World) -> None:
    tick(keyed)
    keyed.sql("delete from users where id % 2 = 0")
    assert tick(keyed, resync=True).status is Status.OK
    keyed.assert_equal()


def test_a_tree_of_which_one_table_cannot_be_read_by_blocks_goes_by_its_key(world: World) -> None:
    world.sql("create access method other type table handler heap_tableam_handler")
    world.sql("drop table users")
    world.sql(
        "create table users (id bigint primary key, name text, updated_at timestamptz not null default now())"
        " partition by range (id)"
    )
    world.sql("create table low partition of users for values from (minvalue) to (600)")
    world.sql("create table high partition of users for values from (600) to (maxvalue) using other")
    world.sql(f"insert into users select g, 'n' from generate_series(1, {ROWS}) g")
    world.tables[0] |= {"max_mb_per_chunk": 0.03, "batch_size": 100}
    assert tick(world).rows_inserted == ROWS
    assert len(ranges(world)) > 2
    assert world.sql("select count(first_block) from sync_chunks") == [(0,)]
    world.assert_equal()
