"""The statements of each kind of tick, from the emulator's journal, as docs/loading.md and docs/benchmarks.md show
them."""

from __future__ import annotations

import pytest

from pgsnow.model.report import Status
from pgsnow.operations.plan.waiting import waiting_notes
from pgsnow.sync.load import open_batches
from tests.world import World

TABLES = """
insert into users select g, 'n' || g, g, '{"a": [1]}' from generate_series(1, 100) g;
create table orders (id bigint primary key, name text, updated_at timestamptz not null default now());
insert into orders select g, 'n' || g from generate_series(1, 100) g;
create table prices (id bigint primary key, price numeric(10, 2));
insert into prices select g, g from generate_series(1, 100) g;
analyze
"""
TARGETS = [
    {"source": "public.orders", "target": "analytics.orders", "pk": "id", "watermark_column": "updated_at"},
    {"source": "public.prices", "target": "analytics.prices", "pk": "id", "mode": "full"},
]


def sent(world: World, *tables: str, load: bool = False) -> list[str]:
    """The first word of each statement of a tick over these tables (with the second one of CREATE), and `login`."""
    noted, logins = world.emulator.noted(), world.emulator.connections()
    with world.engine() as engine:
        report = engine.tick([f"public.{name}" for name in tables], load=load)
    assert not report.failures, report.failures
    assert world.emulator.connections() - logins <= len(tables)
    words = [text.split() for text in world.emulator.statements_since(noted)]
    return [" ".join(text[:2]) if text[0] in ("CREATE", "INSERT") else text[0] for text in words]


def test_each_kind_of_tick_sends_as_few_statements_as_documented(world: World) -> None:
    """A first load: SHOW, CREATE, PUT, COPY, SHOW; the first one of a schema also creates what all of its tables
    share. An increment: PUT and MERGE, or MERGE alone. A replaced content: SHOW, PUT, INSERT. Rows that are loaded
    later: PUT, and then one MERGE for all of them. Files of all tables are removed by one statement."""
    world.tables += [dict(table) for table in TARGETS]
    world.sql(TABLES)
    first = ["SHOW", "CREATE TABLE", "PUT", "COPY", "SHOW"]
    shared = ["CREATE STAGE", "CREATE FILE"]
    assert sent(world, "users") == ["SHOW", "CREATE SCHEMA", "CREATE TABLE", *shared, *first[2:]]
    show, *together, copy, looked = sent(world, "orders")  # its file goes up while the target is created
    assert [show, *sorted(together), copy, looked] == first
    assert sent(world, "prices") == ["SHOW", "CREATE TRANSIENT", "PUT", "INSERT OVERWRITE"]
    assert sent(world, "users", "orders", "prices") == []

    world.sql("update users set name = 'few', updated_at = now() where id <= 3")
    assert sent(world, "users") == ["MERGE"]
    world.sql("update users set name = 'many', updated_at = now()")
    assert sent(world, "users") == ["PUT", "MERGE"]
    world.sql("update prices set price = price + 1")
    assert sent(world, "prices") == ["SHOW", "PUT", "INSERT OVERWRITE"]
    world.assert_equal()

    world.tables[0]["load_every"] = "50d"
    for name in ("first", "second"):
        world.sql(f"update users set name = '{name}', updated_at = now()")
        assert sent(world, "users") == ["PUT"]
    looks = ["SHOW", "SHOW"]  # at the target and at the file format: the process is a new one
    assert sent(world, "users", load=True) == [*looks, "MERGE"]
    world.assert_equal()

    [(waiting, tables)] = world.sql("select count(*), count(distinct source_table) from sync_loaded_files")
    assert (waiting, tables) == (7, 3)
    world.sql("update sync_loaded_files set loaded_at = now() - interval '11 minutes'")
    world.sql("update orders set name = 'x', updated_at = now()")
    assert sent(world, "orders") == ["SHOW", "PUT", "MERGE", "REMOVE"]
    assert world.snowflake("LIST @ANALYTICS.PGSNOW_STAGE") == []
    assert world.sql("select * from sync_loaded_files") == []


def test_a_large_first_load_removes_its_files_on_the_way(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the next load batch, once much has gathered; the last files wait as usual."""
    monkeypatch.setattr(open_batches, "LARGE", 1)
    world.sql(TABLES)
    world.tables[0] |= {"max_rows_per_load": 40, "batch_size": 40, "load": "stage"}
    words = sent(world, "users")
    assert words[words.index("PUT") :] == [
        "PUT",
        "COPY",
        "REMOVE",
        "PUT",
        "COPY",
        "REMOVE",
        "PUT",
        "COPY",
        "SHOW",
    ]
    world.assert_equal()
    assert world.leftovers() == []
    assert world.sql("select count(*) from sync_loaded_files") == [(1,)]


def test_files_do_not_wait_for_the_next_change(world: World) -> None:
    """Where nothing changes any more, a tick removes files that no run has removed for an hour, and opens a session for
    that at most once an hour. `pgsnow plan` says how much waits."""
    world.sql(TABLES)
    sent(world, "users")
    [note] = waiting_notes(world.config, world.settings)
    assert "files of 1 loaded batch" in note
    assert "of public.users wait to be removed" in note
    world.close_engine()
    world.sql("update sync_loaded_files set loaded_at = now() - interval '61 minutes', not_before = now()")
    assert sent(world, "users") == []  # they may only just be removed
    world.close_engine()
    world.sql("update sync_loaded_files set not_before = loaded_at")
    assert sent(world, "users") == ["REMOVE"]
    assert world.sql("select * from sync_loaded_files") == []
    assert waiting_notes(world.config, world.settings) == []
    world.source.execute(
        "insert into sync_loaded_files values (%s, %s, 'x/1-0', 'x', 1, now() - interval '2 hours')",
        [world.settings.snowflake.account, '"D"."UNSEEN"."PGSNOW_STAGE"'],
    )
    assert sent(world, "users") == []


def test_a_process_that_ends_removes_what_is_loaded(world: World) -> None:
    """`pgsnow run` leaves no files: one REMOVE for all tables, in a session that is opened only if files wait. Those in
    a stage that the role does not see stay listed, unless it is the stage of a configured table."""
    world.tables += [dict(table) for table in TARGETS]
    world.sql(TABLES)
    with world.engine() as engine:
        assert {table.status for table in engine.tick().tables} == {Status.OK}
        noted = world.emulator.noted()
        engine.remove_loaded_files()
        removed = world.emulator.statements_since(noted)
        assert [text.split()[0] for text in removed] == ["REMOVE"]
        assert world.snowflake("LIST @ANALYTICS.PGSNOW_STAGE") == []
        assert world.sql("select * from sync_loaded_files") == []
        before = world.emulator.noted()
        engine.remove_loaded_files()
        assert world.emulator.statements_since(before) == []
        account = world.settings.snowflake.account
        for location in ('"D"."UNSEEN"."PGSNOW_STAGE"', "'"):
            world.source.execute(
                "insert into sync_loaded_files values (%s, %s, 'x/1-0', 'x', 1, now() - interval '2 hours')",
                [account, location],
            )
        engine.remove_loaded_files()
        assert len(world.emulator.statements_since(before)) == 1
        assert world.sql("select count(*) from sync_loaded_files") == [(2,)]


def test_changes_from_the_log_take_no_more_statements(world: World) -> None:
    """A tick that read changes from the log: PUT and MERGE. A TRUNCATE takes a DELETE, and a
    look at the target, whose rows nobody counts then. With two tables and `consistency: tick`, one transaction has both
    MERGEs and the tick's row."""
    world.tables[0] |= {"mode": "log"}
    world.options["log_publication"] = "pgsnow_test"
    world.sql("create table items (id bigint primary key, name text)")
    world.sql("create publication pgsnow_test for table users, items")
    world.sql("insert into users (id, name) select i, 'n' from generate_series(1, 10) i")

    def during(*statements: str) -> list[str]:
        for statement in statements:
            world.sql(statement)
        noted = world.emulator.noted()
        assert not engine.tick().failures
        return [text.split()[0] for text in world.emulator.statements_since(noted)]

    with world.engine() as engine:
        during()
        during()
        assert during("update users set name = 'x'", "delete from users where id = 3") == ["PUT", "MERGE"]
        assert during("delete from users where id = 4") == ["PUT", "MERGE"]
        assert during() == []
        truncated = during("truncate users", "insert into users (id, name) values (1, 'y')")
        assert truncated == ["PUT", "SHOW", "DELETE", "MERGE"]
        assert during("insert into users (id, name) values (2, 'y')") == ["PUT", "MERGE"]
        world.assert_equal()
    world.tables.append({"source": "public.items", "pk": "id", "target": "analytics.items", "mode": "log"})
    world.options["consistency"] = "tick"
    both = "with u as (insert into users (id, name) values ({0}, 'z')) insert into items values ({0}, 'z')"
    with world.engine() as engine:
        for at in (11, 12, 13, 14):
            found = during(both.format(at))
        transaction = ["BEGIN", "MERGE", "MERGE", "INSERT", "COMMIT"]
        assert found == ["PUT", "PUT", *transaction]
        world.assert_equal()
    world.sql("select pg_drop_replication_slot(slot) from sync_slots")
