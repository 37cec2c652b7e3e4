"""`mode: log` while persons and applications interfere: nothing is lost, and the log is followed again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pgsnow.model.report import TableReport
from tests.pooler import Pooler
from tests.world import MemoryWorld

NOTES = {"source": "public.notes", "target": "analytics.notes", "mode": "log", "pk": "id"}
SLOT = "(select slot_name from pg_replication_slots where database = current_database())"


@pytest.fixture
def world(memory_world: MemoryWorld, monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryWorld]:
    """Users and notes, which are read from the log."""
    monkeypatch.setattr("pgsnow.sync.stream.slot_reader.CREATE_SECONDS", 0.3)
    world = memory_world
    world.sql("create table notes (id int primary key, text text)")
    world.sql("create publication ours for table users, notes")
    world.options["log_publication"] = "ours"
    world.tables = [world.tables[0] | {"mode": "log"}, dict(NOTES)]
    world.sql("insert into users (id, name) select i, 'n' || i from generate_series(1, 60) i")
    world.sql("insert into notes select i, 'n' || i from generate_series(1, 60) i")
    until_it_streams(world)
    yield world
    world.close_engine()
    world.sql(f"select pg_drop_replication_slot(slot_name) from {SLOT} found")


def tick(world: MemoryWorld, **options: Any) -> dict[str, TableReport]:
    with world.engine() as engine:
        return {report.table: report for report in engine.tick(**options).tables}


def change(world: MemoryWorld, number: int, *tables: str) -> None:
    """A row of each table is added, one changes, one is deleted, and one gets another key."""
    for table in tables or ("users", "notes"):
        column = "name" if table == "users" else "text"
        world.sql(f"insert into {table} (id, {column}) values ({1000 + number}, 'new')")
        world.sql(f"update {table} set {column} = 'changed {number}' where id = {number}")
        world.sql(f"delete from {table} where id = {20 + number}")
        world.sql(f"update {table} set id = {2000 + number} where id = {40 + number}")


def until_it_streams(world: MemoryWorld) -> None:
    """Within a few ticks, of which none fails, all tables follow the log."""
    for _ in range(20):
        reports = tick(world, requested=True)
        assert not [report.error for report in reports.values() if report.error]
        put_off = [report for report in reports.values() if "not read in this tick" in "".join(report.events)]
        if not put_off and (None,) not in world.sql("select checkpoint -> 'log' from sync_watermarks"):
            return
    raise AssertionError({table: report.events for table, report in reports.items()})


def is_paused(world: MemoryWorld) -> None:
    world.sql("update sync_watermarks set paused = true where source_table = 'public.notes'")
    for number in (2, 3):
        change(world, number)
        tick(world)
    world.sql("update sync_watermarks set paused = false")


def is_disabled(world: MemoryWorld) -> None:
    world.tables[1]["enabled"] = False
    for number in (2, 3):
        change(world, number)
        tick(world)
    world.tables[1]["enabled"] = True


def is_read_as_a_whole(world: MemoryWorld) -> None:
    for number, option in enumerate(("full_refresh", "resync", "reread", "confirm_deletes"), 2):
        change(world, number)
        tick(world, **{option: True})


def has_rejected_rows_that_are_replayed(world: MemoryWorld) -> None:
    world.sql("update users set balance = 'NaN' where id in (5, 6)")
    tick(world)
    world.sql("update users set balance = 3 where id = 5")
    with world.engine() as engine:
        rows = engine.ledger.rejected_rows.listed()
        assert {row.key["id"] for row in rows} == {"5", "6"}
        engine.replay([row.id for row in rows])
    world.sql("update users set balance = 4 where id = 6")


def is_staged_and_loaded_later(world: MemoryWorld) -> None:
    for table in world.tables:
        table["load_every"] = "1h"
    for number in (2, 3, 4):
        change(world, number)
        tick(world)
    world.sql("truncate notes")
    change(world, 5)
    tick(world)
    tick(world, load=True)
    for table in world.tables:
        del table["load_every"]


def has_a_prepared_transaction_over_a_lost_slot(world: MemoryWorld) -> None:
    """One that was prepared before the slot was lost, and one that was prepared before a read."""
    world.sql(
        "begin; insert into notes values (5000, 'p'); delete from notes where id = 7; prepare transaction 'p1'"
    )
    world.sql(f"select pg_drop_replication_slot({SLOT})")
    change(world, 2)
    assert any("prepared transaction 'p1'" in str(report) for report in tick(world).values())
    world.sql("commit prepared 'p1'")
    until_it_streams(world)
    world.assert_equal()
    world.sql(
        "begin; insert into notes values (5001, 'p'); delete from notes where id = 8; prepare transaction 'p2'"
    )
    change(world, 3)
    tick(world)
    world.sql("commit prepared 'p2'")


def has_thousands_of_subtransactions(world: MemoryWorld) -> None:
    world.sql(
        "do $$ begin for i in 1..3000 loop begin update notes set text = i::text where id = i % 20 + 1;"
        " if i % 3 = 0 then raise exception 'no'; end if;"
        " exception when raise_exception then null; end; end loop; end $$"
    )


def has_an_older_ledger(world: MemoryWorld) -> None:
    """Only its rows about tables and slots are older: the next runs have fences that the target knows."""
    rows = [
        (table, world.sql(f"select to_jsonb(t) from {table} t"))
        for table in ("sync_watermarks", "sync_slots")
    ]
    for number in (2, 3):
        change(world, number)
        tick(world)
    for table, kept in rows:
        world.sql(f"delete from {table}")
        for (row,) in kept:
            world.source.execute(
                f"insert into {table} select * from jsonb_populate_record(null::{table}, %s)".encode(),
                [json.dumps(row)],
            )
    tick(world, requested=True)  # fails with LedgerOutdated


def has_a_target_that_a_person_alters(world: MemoryWorld) -> None:
    del world.target("analytics.notes").rows[3:6]
    change(world, 2)
    tick(world)
    world.drop("analytics.notes")
    change(world, 3)


def has_no_free_walsender(world: MemoryWorld) -> None:
    dsn = make_conninfo(world.env["POSTGRES_DSN"], replication="database")
    with ExitStack() as stack:
        with pytest.raises(psycopg.OperationalError, match="max_wal_senders"):
            while True:
                stack.enter_context(psycopg.connect(dsn, autocommit=True))
        change(world, 2)
        assert not [event for report in tick(world).values() for event in report.events if "the log" in event]
        world.assert_equal()


def is_altered_in_a_transaction(world: MemoryWorld) -> None:
    for transaction in (
        "update notes set text = 'a' where id = 5; alter table notes add z int; update notes set z = 3 where id = 5;"
        "insert into notes values (9000, 'x', 4); alter table notes drop text; insert into notes values (9001, 5)",
        "truncate notes; insert into notes values (1, 1), (2, 2); alter table notes alter z type text using 'v' || z;"
        "insert into notes values (3, 'q')",
        "create table n3 (like notes including all); insert into n3 select * from notes; drop table notes;"
        "alter table n3 rename to notes; alter publication ours add table notes; insert into notes values (10, 'q');"
        "alter table notes add text text",
    ):
        world.sql(f"begin; {transaction}; commit")
        until_it_streams(world)
        tick(world, confirm_deletes=True)
        world.assert_equal()
    world.sql("insert into notes select i, 'z', 'n' || i from generate_series(20, 90) i")


def is_moved_and_renamed(world: MemoryWorld) -> None:
    world.sql("create schema other; alter table notes set schema other")
    assert tick(world)["public.notes"].error
    world.sql(
        "update other.notes set text = 'elsewhere' where id = 3; alter table other.notes set schema public"
    )
    until_it_streams(world)
    world.sql("alter table notes rename to n2")
    assert tick(world, requested=True)["public.notes"].error
    world.sql("delete from n2 where id = 9; alter table n2 rename to notes")


WAYS: list[Callable[[MemoryWorld], None]] = [
    is_disabled,
    is_read_as_a_whole,
    has_rejected_rows_that_are_replayed,
    is_staged_and_loaded_later,
    has_a_prepared_transaction_over_a_lost_slot,
    has_thousands_of_subtransactions,
    has_an_older_ledger,
    has_a_target_that_a_person_alters,
    has_no_free_walsender,
    is_altered_in_a_transaction,
    is_moved_and_renamed,
]


@pytest.mark.parametrize(
    "way",
    [is_paused, *(pytest.param(way, marks=pytest.mark.thorough) for way in WAYS)],
    ids=lambda way: way.__name__,
)
def test_a_table(world: MemoryWorld, way: Callable[[MemoryWorld], None]) -> None:
    """Whatever happens to a table or its surroundings: afterwards its target is equal, and its changes come from the
    log again."""
    way(world)
    until_it_streams(world)
    world.assert_equal()
    change(world, 15)
    reports = tick(world)
    assert not [event for report in reports.values() for event in report.events if "the log" in event]
    world.assert_equal()


ALTERATIONS = [
    "alter table notes alter text set not null",
    "alter table notes alter text drop not null",
    "alter table notes alter text set default 'x'",
    "alter table notes add g int generated always as (id * 2) stored",
    "alter table notes drop column g",
    "alter table notes alter text type varchar(20)",
    "alter table notes set (fillfactor = 50)",
    "alter table notes replica identity full",
    "alter table notes replica identity default",
    "alter table notes drop constraint notes_pkey; alter table notes add constraint n_pk primary key (id)",
    "create type mood as enum ('a', 'b'); alter table notes add m mood default 'a'",
    "alter type mood rename value 'b' to 'bb'",
    "alter table notes rename text to txt; alter table notes rename txt to text",
    "alter table notes alter id type bigint",
]


@pytest.mark.thorough
def test_each_alteration_between_changes_of_rows(world: MemoryWorld) -> None:
    """The target is equal after the tick that meets it, and after the next."""
    for statement in ALTERATIONS:
        world.sql("update notes set text = 'before' where id = 5")
        world.sql(statement)
        world.sql("insert into notes (id, text) select max(id) + 1, 'after' from notes")
        world.sql("delete from notes where id = (select max(id) - 3 from notes)")
        for text in ("later", "again"):
            assert not tick(world)["public.notes"].error, statement
            world.assert_equal()
            world.sql(f"update notes set text = '{text}' where id = 6")


@pytest.mark.thorough
def test_through_a_pooler(world: MemoryWorld, pooler: Pooler) -> None:
    """The log is read with SQL functions, and followed as ever."""
    direct = world.env["POSTGRES_DSN"]
    world.through({"POSTGRES_DSN": pooler.dsn(direct), "LEDGER_DSN": direct})
    for number in (2, 3):
        change(world, number)
        reports = tick(world)
        assert not [event for report in reports.values() for event in report.events if "the log" in event]
        world.assert_equal()
