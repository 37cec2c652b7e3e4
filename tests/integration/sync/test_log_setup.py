"""`pgsnow log setup` and `drop`: the publication has exactly the tables that are fit, the slot is made once, and the
application's own statements go on working."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pgsnow.ledger.ledger import Ledger
from pgsnow.ledger.slots.store import SlotClaim
from pgsnow.model.errors import ConfigError, SlotNotMade
from pgsnow.operations.check.log import check_log
from pgsnow.operations.check.result import CheckResult
from pgsnow.operations.log.setup import LogSetup, set_up, tear_down
from pgsnow.operations.plan.preview import in_source
from pgsnow.postgres.connection import Source
from pgsnow.postgres.replication.slot import create_slot, drop_slot, oldest_transaction
from tests.world import MemoryWorld

TABLES = """
create table plain (id bigint primary key, v text);
create table unkeyed (id bigint not null, v text);
create unique index unkeyed_id on unkeyed (id);
create table silent (id bigint primary key, v text);
alter table silent replica identity nothing;
create table other_key (id bigint primary key, code text not null, v text);
create unique index other_key_code on other_key (code);
alter table other_key replica identity using index other_key_code;
create table deferred (id bigint primary key deferrable, v text);
create table "Parts" (id bigint primary key, v text) partition by range (id);
create table "P 1" partition of "Parts" for values from (0) to (10);
create table p2 partition of "Parts" for values from (10) to (20);
alter table p2 replica identity nothing;
create unlogged table fleeting (id bigint primary key, v text);
create table judged (id bigint primary key, v text);
create table keyless (id bigint, v text);
"""
NAMES = ["plain", "unkeyed", "silent", "other_key", "deferred", '"Parts"', "fleeting", "judged"]
FIXES = {
    "public.unkeyed": "ALTER TABLE public.unkeyed REPLICA IDENTITY USING INDEX unkeyed_id;",
    "public.silent": "ALTER TABLE public.silent REPLICA IDENTITY DEFAULT;",
    "public.other_key": "ALTER TABLE public.other_key REPLICA IDENTITY DEFAULT;",
    'public."Parts"': "ALTER TABLE public.p2 REPLICA IDENTITY DEFAULT;",
}


def entry(name: str) -> dict[str, str]:
    where = {"where": "id > random()"} if name == "judged" else {}
    return {"source": f"public.{name}", "target": name.strip('"'), "mode": "log", "pk": "id", **where}


@pytest.fixture
def world(memory_world: MemoryWorld) -> Iterator[MemoryWorld]:
    memory_world.sql(TABLES)
    memory_world.tables = [entry(name) for name in NAMES]
    yield memory_world
    memory_world.sql(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots where not active"
        " and database = current_database()"
    )


def setup(world: MemoryWorld, *, dry_run: bool = False) -> LogSetup:
    return set_up(world.config, world.settings, holder="me@here", dry_run=dry_run)


def checked(world: MemoryWorld) -> list[CheckResult]:
    with (
        closing(Ledger(world.settings.ledger)) as ledger,
        closing(Source(world.settings.source)) as source,
        source.connect() as conn,
    ):
        return list(check_log(world.config, ledger, conn))


def published(world: MemoryWorld) -> set[str]:
    return {
        f"{schema}.{table}"
        for schema, table in world.sql("select schemaname, tablename from pg_publication_tables")
    }


def write_everywhere(world: MemoryWorld) -> None:
    """What an application does."""
    for name in [*NAMES, "keyless"]:
        for statement in (
            "insert into {} values (1, 'a'), (15, 'b')",
            "update {} set v = 'c'",
            "delete from {}",
        ):
            columns = statement.replace("values (1,", "(id, code, v) values (1, 'k1',").replace(
                "(15,", "(15, 'k2',"
            )
            world.sql((columns if name == "other_key" else statement).format(name))


def test_only_tables_whose_replica_identity_has_the_key_are_published_and_the_application_goes_on(
    world: MemoryWorld,
) -> None:
    """Each of the others is refused with the statement that makes it fit; before and after these statements, every
    UPDATE and DELETE of the application works. A second set-up changes nothing."""
    write_everywhere(world)
    first = setup(world)
    assert published(world) == {"public.plain"}
    assert {name: problem.fixes for name, problem in first.found.problems.items() if problem.fixes} == {
        name: (fix,) for name, fix in FIXES.items()
    }
    assert "unlogged" in first.found.problems["public.fleeting"].why
    assert "random() is not declared IMMUTABLE" in first.found.problems["public.judged"].why
    assert "swap their keys" in first.found.problems["public.deferred"].why
    shown = "\n".join(
        f"{result.name}: {result.level}: {result.detail} → {result.fix}" for result in checked(world)
    )
    planned = "\n".join(
        f"{each.preview.table}: {warning}"
        for each in in_source(world.config, world.settings, world.config.tables, full=False)
        for warning in each.preview.warnings
    )
    for name, fix in FIXES.items():
        assert f"{name}: warning: cannot be read from the log: the replica identity of" in shown
        assert f"→ {fix}" in shown
        assert f"{name}: cannot be read from the log: the replica identity of" in planned
        assert f"→ {fix}" in planned
    write_everywhere(world)
    for fix in FIXES.values():
        world.sql(fix)
    second = setup(world)
    assert sorted(second.found.problems) == ["public.deferred", "public.fleeting", "public.judged"]
    assert published(world) == {f"public.{name}" for name in [*NAMES[:4], "Parts"]}
    assert (first.made, second.made, second.found.verdict.action) == (True, False, "read")
    write_everywhere(world)
    assert (setup(world).done, setup(world, dry_run=True).left) == ((), ())


def test_the_publication_follows_the_table_list_and_is_dropped_with_the_slot(world: MemoryWorld) -> None:
    """A table that is no longer synced leaves it; what tampering has changed is put right; `drop` leaves nothing behind
    in the source, and both commands may be repeated."""
    world.tables = [entry("plain"), entry("silent")]
    world.sql("alter table silent replica identity full")
    made = setup(world)
    name = made.found.publication
    assert name == made.found.slot
    assert published(world) == {"public.plain", "public.silent"}
    world.sql(f"alter publication {name} set (publish = 'insert', publish_via_partition_root = false)")
    world.sql(f"alter publication {name} drop table silent")
    world.sql(f"alter publication {name} add table silent where (id > 3)")
    world.tables = [entry("silent")]
    again = setup(world)
    assert [
        statement.partition(" SET ")[0].rpartition(" TABLE ")[0] or statement for statement in again.done
    ] != []
    assert published(world) == {"public.silent"}
    assert world.sql(
        "select pubinsert, pubupdate, pubdelete, pubtruncate, pubviaroot from pg_publication"
    ) == [(True,) * 5]
    assert world.sql("select rowfilter from pg_publication_tables") == [(None,)]
    world.tables[0] |= {"mode": "xmin"}
    assert [(found.level, found.fix) for found in checked(world)] == [("warning", "pgsnow log drop")]
    assert len(tear_down(world.config, world.settings, holder="me")) == 2
    assert tear_down(world.config, world.settings, holder="me") == ()
    assert checked(world) == []
    world.tables = [entry("silent")]
    assert world.sql("select count(*) from pg_publication") == [(0,)]
    assert world.sql("select count(*) from pg_replication_slots where database = current_database()") == [
        (0,)
    ]
    assert setup(world).found.known.generation > made.found.known.generation


def test_a_publication_or_a_slot_of_something_else_is_refused_by_name(world: MemoryWorld) -> None:
    """A slot that this ledger did not make under a name of the configuration, another plugin's, another ledger's
    publication; from a person's own publication nothing is removed."""
    world.tables = [entry("plain")]
    world.options = {"log_slot": "theirs", "log_publication": "shared"}
    world.sql("select pg_create_logical_replication_slot('theirs', 'pgoutput')")
    world.sql("create publication shared for table silent, plain")
    with pytest.raises(ConfigError, match="theirs is there, and this ledger did not make it"):
        setup(world)
    assert published(world) == {"public.plain", "public.silent"}
    with closing(Ledger(world.settings.ledger)) as ledger:  # a worker that died while it made the slot
        claim = ledger.slots.claim("theirs", "shared", run_id="r", holder="h")
        assert isinstance(claim, SlotClaim)
        ledger.slots.begin(claim)
        ledger.slots.release(claim)
    assert setup(world).made
    world.sql("select pg_drop_replication_slot('theirs')")
    world.sql("select pg_create_logical_replication_slot('theirs', 'test_decoding')")
    with pytest.raises(ConfigError, match="theirs is another program's"):
        setup(world)
    world.sql("comment on publication shared is 'pgsnow: the tables that ledger 77 reads from the log'")
    with pytest.raises(ConfigError, match="shared belongs to another ledger"):
        setup(world)
    world.sql("drop publication shared")
    world.sql("create publication shared for table plain (id)")
    with pytest.raises(ConfigError, match="column list"):
        setup(world)


def test_a_role_that_may_not_publish_is_given_the_statements_and_makes_the_slot_afterwards(
    world: MemoryWorld,
) -> None:
    """The tables' owner runs them; the rights of pgsnow's own role are REPLICATION and SELECT, and nothing more."""
    world.tables = [entry("plain")]
    setup(world)
    tear_down(world.config, world.settings, holder="me")
    dsn = world.env["POSTGRES_DSN"]
    world.sql(
        "do $$ begin create role log_reader login replication; exception when duplicate_object then null; end $$"
    )
    world.sql("grant select on plain to log_reader")
    world.through({"POSTGRES_DSN": make_conninfo(dsn, user="log_reader"), "LEDGER_DSN": dsn})
    denied = setup(world)
    assert "permission denied" in denied.denied
    assert not denied.made
    assert {(result.level, result.detail) for result in checked(world)} >= {
        ("failed", "the log is not read: the publication is missing")
    }
    for statement in denied.left:
        world.sql(statement)
    assert setup(world).made
    assert [result.detail for result in checked(world) if result.level == "ok"] != []
    world.sql("alter role log_reader noreplication")
    refused = [(result.detail, result.fix) for result in checked(world) if result.level == "failed"]
    assert refused == [("role log_reader may not use replication", "ALTER ROLE log_reader REPLICATION;")]
    world.sql("drop owned by log_reader; ")


def test_a_transaction_in_the_way_of_a_new_slot_is_named_and_a_session_of_ours_does_not_keep_a_slot(
    world: MemoryWorld,
) -> None:
    """The wait is bounded, and leaves no half-made slot; a slot that a dead worker of the same role still reads is
    dropped all the same."""
    source = Source(world.settings.source)
    with source.connect() as conn, psycopg.connect(world.env["POSTGRES_DSN"]) as app:
        app.execute("insert into plain values (1, 'a')")
        pid = app.info.backend_pid
        found = oldest_transaction(conn)
        assert found is not None
        assert found.pid == pid
        with pytest.raises(SlotNotMade, match=f"the oldest is pid {pid}") as caught:
            create_slot(conn, "waits", seconds=0.3)
        assert f"pg_terminate_backend({pid})" in caught.value.advice
        assert not drop_slot(conn, "waits")
        app.rollback()
        assert create_slot(conn, "waits") > 0
        reading = psycopg.connect(
            make_conninfo(world.env["POSTGRES_DSN"], replication="database"), autocommit=True
        )
        reading.execute(
            "START_REPLICATION SLOT waits LOGICAL 0/0 (proto_version '1', publication_names 'none')"
        )
        assert drop_slot(conn, "waits")
        reading.close()
        with pytest.raises(SlotNotMade, match="already exists"):
            for name in ("twice", "twice"):
                create_slot(conn, name)
