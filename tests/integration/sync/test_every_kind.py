"""Every kind of relation that Postgres has: synced and equal, or refused with a reason while the others run."""

from __future__ import annotations

import pytest

from pgsnow.model.report import Status
from pgsnow.operations.discover.discover import Choice, discover
from tests.world import MemoryWorld, World

LONG = "l" * 63
KINDS = f"""
create table plain (id int primary key, v text);
insert into plain select g, 'v' || g from generate_series(1, 5) g;
create view a_view as select id, v, id % 2 = 0 as even from plain;
create materialized view a_matview as select count(*) as n, max(v) as v from plain;
create table parent (id int primary key, v text);
create table child (more text) inherits (parent);
insert into parent values (1, 'parent');
insert into child values (1, 'the same key', 'more');
create table tree (id int, at date, primary key (id, at)) partition by range (at);
create table tree_1 partition of tree for values from ('2026-01-01') to ('2026-02-01') partition by list (id);
create table tree_1_1 partition of tree_1 for values in (1);
create table tree_rest partition of tree default;
insert into tree values (1, '2026-01-05'), (2, '2025-01-01');
create unlogged table fleeting (id uuid primary key default gen_random_uuid(), v text);
insert into fleeting (v) values ('x'), (null);
create table made (id int generated always as identity primary key, price numeric(10,2),
    twice numeric(12,2) generated always as (price * 2) stored);
insert into made (price) values (1.5), (null);
create table "Mixed ""Case"" Ünï" ("Select" int primary key, "a b" text, "from" text, "ß" int, "{LONG}" text);
insert into "Mixed ""Case"" Ünï" values (1, 'x', 'y', 2, 'z');
create table "{LONG}" (id int primary key);
insert into "{LONG}" values (1);
create table clash ("Name" text, name text);
create table bare ();
insert into bare default values;
create table alike (a int, b text);
insert into alike values (1, 'x'), (1, 'x'), (null, null);
create extension file_fdw;
create server files foreign data wrapper file_fdw;
create foreign table outside (line text) server files options (program 'printf ''one\\ntwo\\n''', format 'text');
"""


def test_every_kind_is_proposed_synced_and_compared_or_refused_with_a_reason(world: World) -> None:
    """Without a hand edit: found, run, changed, run again."""
    world.sql("drop table users")
    world.sql(KINDS)
    found = discover(world.settings.source, Choice(), views=True, target_schema="kinds")
    world.tables = [dict(p.entry) for p in found if p.entry]
    refused = {p.name.table: p.refusal for p in found if not p.entry}
    assert refused.keys() == {"clash", "bare"}
    assert "the same column in Snowflake" in refused["clash"]
    modes = {entry["source"].removeprefix("public."): entry["mode"] for entry in world.tables}
    whole = {"a_view", "a_matview", "outside", "alike", "child"}
    assert {name for name, mode in modes.items() if mode == "full"} == whole
    for change in (
        "",
        "update plain set v = 'new' where id < 3; refresh materialized view a_matview;"
        " insert into alike values (1, 'x'); insert into tree values (1, '2026-01-06');"
        " update made set price = 9;",
    ):
        if change:
            world.sql(change)
        with world.engine() as engine:
            report = engine.tick()
        assert {t.table: t.error for t in report.tables if t.error} == {}
        world.assert_equal()
    assert world.snowflake('SELECT "LINE" FROM KINDS.OUTSIDE ORDER BY 1') == [("one",), ("two",)]


def test_what_cannot_be_synced_says_what_to_do_and_leaves_the_others_running(
    memory_world: MemoryWorld,
) -> None:
    memory_world.sql("insert into users (id) values (1)")
    memory_world.sql(KINDS)
    common = {"mode": "xmin"}
    memory_world.tables += [
        {"source": "clash", "target": "k.clash", "mode": "full"},
        {"source": "bare", "target": "k.bare", "mode": "full"},
        {"source": "a_view", "target": "k.a_view", **common},
        {"source": "alike", "target": "k.alike", **common},
    ]
    with memory_world.engine() as engine:
        told = {t.table: (t.status, t.error_type, f"{t.error} {t.advice}") for t in engine.tick().tables}
    assert told.pop("public.users")[0] is Status.OK
    assert all(status is Status.ERROR for status, _, _ in told.values())
    assert {table: kind for table, (_, kind, _) in told.items()} == {
        "public.clash": "TargetConflict",
        "public.bare": "UnsupportedTable",
        "public.a_view": "UnsupportedTable",
        "public.alike": "KeyUnusable",
    }
    assert "mode: full" in told["public.a_view"][2]
    assert "no primary key" in told["public.alike"][2]


@pytest.mark.stress
def test_a_table_of_as_many_columns_as_there_can_be(memory_world: MemoryWorld) -> None:
    """1,600, the most that Postgres allows. (Slow in the emulator, which looks at each statement's tree many times.)"""
    columns = ", ".join(f"c{n} int" for n in range(1, 1600))
    memory_world.sql(f"create table wide (id int, {columns}); insert into wide (id, c1599) values (1, 7)")
    memory_world.tables = [{"source": "wide", "target": "k.wide", "mode": "full"}]
    with memory_world.engine() as engine:
        assert engine.tick().tables[0].error is None
    memory_world.assert_equal()


ON_SOME_MACHINES = {"pg_catalog.pg_shmem_allocations_numa": "SourceQueryFailed"}
"""What Postgres itself cannot answer everywhere, and says so."""
SOME = ("tables", "columns", "pg_class", "pg_type", "pg_stats", "pg_attribute", "pg_settings", "routines")


@pytest.mark.parametrize("all_of_them", [False, pytest.param(True, marks=pytest.mark.stress)])
def test_the_catalogs_own_tables_and_views_are_synced_or_refused(
    memory_world: MemoryWorld, all_of_them: bool
) -> None:
    """Views over views, types that only the catalog has, thousands of rows."""
    world = memory_world
    choice = Choice(("information_schema", "pg_catalog"), include=() if all_of_them else SOME)
    found = discover(world.settings.source, choice, views=True, target_schema="catalog")
    assert len(found) > 150 if all_of_them else len(found) == len(SOME)
    assert all(bool(p.entry) != bool(p.refusal) for p in found)
    world.tables = [dict(p.entry) for p in found if p.entry]
    with world.engine() as engine:
        report = engine.tick()
    failed = {t.table: t.error_type for t in report.tables if not t.ok}
    assert failed.items() <= ON_SOME_MACHINES.items()
    steady = [t for t in world.tables if not _moves(t["source"]) and _was_synced(report, t)]
    assert len(steady) > len(world.tables) / 2
    world.tables = steady
    world.assert_equal()


MOVING = (
    *(
        "pg_locks",
        "_sequences",
        "pg_cursors",
        "pg_settings",
        "pg_backend_memory_contexts",
        "pg_shmem_allocations",
    ),
    "pg_class",  # VACUUM and ANALYZE write its statistics in place: no version, no transaction to see it by
    *("pg_aios", "pg_replication_slots", "pg_prepared_statements"),
)


def _moves(source: str) -> bool:
    """What tells of this moment is another thing at the next look."""
    return "stat" in source or source.endswith(MOVING)


def _was_synced(report: object, entry: dict[str, object]) -> bool:
    tables = {t.table: t.ok for t in report.tables}  # type: ignore[attr-defined]
    return bool(tables.get(entry["source"]))
