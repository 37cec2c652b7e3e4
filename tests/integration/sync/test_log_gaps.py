"""Nothing is lost whatever happens to the slot or the publication of `mode: log`, and the report says what did."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pgsnow.model.report import Status, TableReport
from tests.world import World

NOTES = {"source": "public.notes", "target": "analytics.notes", "mode": "log", "pk": "id"}


@pytest.fixture
def log_world(world: World) -> Iterator[World]:
    """Two tables that are read from the log, a few rows in each."""
    world.sql("create table notes (id int primary key, text text)")
    world.sql("create publication pgsnow_test for table users, notes")
    world.options["log_publication"] = "pgsnow_test"
    world.tables = [world.tables[0] | {"mode": "log"}, dict(NOTES)]
    world.sql("insert into users select i, 'n' || i from generate_series(1, 20) i")
    world.sql("insert into notes select i, 'n' || i from generate_series(1, 20) i")
    tick(world)
    yield world
    world.close_engine()
    world.sql(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = current_database()"
    )


def tick(world: World, *, search: bool = False) -> dict[str, TableReport]:
    """search: deleted rows are searched for now, and not only when that takes a small part of the time."""
    with world.engine() as engine:
        report = engine.tick(requested=True, confirm_deletes=search)
        return {table.table: table for table in report.tables}


def synced(world: World, *, streams: bool = True, search: bool = False) -> dict[str, TableReport]:
    """A tick without errors, after which both sides are equal. streams: everything came from the log."""
    reports = tick(world, search=search)
    assert [report.error for report in reports.values() if report.error] == []
    world.assert_equal()
    if streams:
        assert not [text for report in reports.values() for text in report.events if "the log" in text]
    return reports


def until_it_streams(world: World) -> None:
    """A table joins the log again when all transactions of the server have ended that were open at the gap, such as
    those of autovacuum: mostly at once."""
    for _ in range(20):
        found = synced(world, streams=False)
        told = [text for report in found.values() for text in report.events if "the log" in text]
        if not told and (None,) not in world.sql("select checkpoint -> 'log' from sync_watermarks"):
            return
    raise AssertionError(found)


def change(world: World, number: int) -> None:
    """A row of each table is added, one is changed, and one is deleted."""
    for table in ("users", "notes"):
        column = "name" if table == "users" else "text"
        world.sql(
            f"insert into {table} (id, {column}) values ({1000 + number}, 'new')"
            f" on conflict (id) do update set {column} = 'newer'"
        )
        world.sql(f"update {table} set {column} = 'changed {number}' where id = {number}")
        world.sql(f"delete from {table} where id = {10 + number}")


def slot(world: World) -> str:
    [(name,)] = world.sql("select slot_name from pg_replication_slots where database = current_database()")
    return str(name)


def test_each_way_to_lose_the_log_ends_in_an_ordinary_read(log_world: World) -> None:
    """A slot that was dropped, made again, or moved; a publication that was made again; a table that left it for a
    while; a replica identity that changed: the next tick finds every change, deletes too, and the one after it reads
    from the log again."""
    world = log_world
    change(world, 1)
    synced(world)
    name = slot(world)
    ways = {
        "slot dropped": [f"select pg_drop_replication_slot('{name}')"],
        "slot made again": [
            f"select pg_drop_replication_slot('{name}')",
            f"select pg_create_logical_replication_slot('{name}', 'pgoutput')",
        ],
        "slot moved": [
            "update notes set text = 'passed over' where id = 4",
            f"select pg_replication_slot_advance('{name}', pg_current_wal_insert_lsn())",
        ],
        "publication made again": [
            "drop publication pgsnow_test",
            "create publication pgsnow_test for table users, notes",
        ],
        "table left for a while": [
            "alter publication pgsnow_test drop table notes",
            "insert into notes values (777, 'unseen'); delete from notes where id = 20",
            "alter publication pgsnow_test add table notes",
        ],
        "replica identity changed": ["alter table notes replica identity full"],
    }
    for number, (way, statements) in enumerate(ways.items(), 2):
        if way == "slot made again":  # before it is there, changes are in no log
            change(world, number)
        for statement in statements:
            world.sql(statement)
        if number % 2:
            change(world, number)
        reports = synced(world, streams=False)
        told = [text for report in reports.values() for text in report.events if "without the log" in text]
        assert told, way
        change(world, 10 - number)
        synced(world, streams=False)
        world.sql(f"update notes set text = 'later {number}' where id = 3")
        until_it_streams(world)


def test_a_table_that_fails_alone_holds_nothing_up(log_world: World) -> None:
    """If one table cannot be loaded, the other goes on, its changes wait in the stage, and the slot is confirmed."""
    world = log_world
    change(world, 1)
    synced(world)
    world.snowflake("alter table analytics.notes rename to analytics.elsewhere")
    world.snowflake("create view analytics.notes as select 1 as id")
    change(world, 2)
    [(before,)] = world.sql("select confirmed from sync_slots")
    reports = tick(world)
    assert reports["public.users"].status is Status.OK
    assert reports["public.notes"].error
    [(after,)] = world.sql("select confirmed from sync_slots")
    assert after > before
    world.snowflake("drop view analytics.notes")
    world.snowflake("alter table analytics.elsewhere rename to analytics.notes")
    change(world, 3)
    synced(world, streams=False)
    change(world, 4)
    synced(world, streams=False)
