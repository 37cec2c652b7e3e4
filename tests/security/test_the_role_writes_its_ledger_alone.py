"""With the rights that `pgsnow grants` prints and nothing else (those that every role has by default are revoked), a
role syncs tables in every mode, and can write nothing but its ledger."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pgsnow.model.settings.settings import Settings
from pgsnow.operations.check.ledger import check_ledger
from pgsnow.operations.log.setup import set_up
from pgsnow.operations.plan.preview import in_source
from pgsnow.postgres.catalog.grants import ledger_grants, source_grants
from tests.world import MemoryWorld

LEDGER = "pgsnow ledger"
"""A schema whose name must be quoted."""
TABLES = """
drop table sync_watermarks, sync_logs, sync_errors cascade;
create schema "Shop";
create table "Shop".marked (id bigserial primary key, v text, seen bigserial);
create index on "Shop".marked (seen);
create table "Shop".by_xmin (id bigint primary key, v text);
create table "Shop".whole (id bigint primary key, v text);
create table "Shop".logged (id bigint primary key, v text);
create table "Shop".private (id bigint primary key, v text);
insert into users (id, name) select g, 'n' from generate_series(1, 20) g;
insert into "Shop".marked (v) select 'm' from generate_series(1, 20) g;
insert into "Shop".by_xmin select g, 'x' from generate_series(1, 20) g;
insert into "Shop".whole select g, 'w' from generate_series(1, 20) g;
insert into "Shop".logged select g, 'l' from generate_series(1, 20) g;
insert into "Shop".private values (1, 'nobody reads this');
create function public.touch() returns void language sql as 'update users set name = name';
revoke execute on function public.touch() from public;
revoke all on schema public from public;
do $$ begin execute format('revoke all on database %I from public', current_database()); end $$;
"""
CHANGES = """
update users set name = 'changed', updated_at = now() where id = 1; delete from users where id = 2;
insert into "Shop".marked (v) values ('new');
update "Shop".by_xmin set v = 'changed' where id = 1; delete from "Shop".by_xmin where id = 2;
update "Shop".whole set v = 'changed' where id = 1; delete from "Shop".whole where id = 2;
update "Shop".logged set v = 'changed' where id = 1; delete from "Shop".logged where id = 2;
"""
OUTSIDE = """
select count(*) from pg_class c where c.relnamespace not in (
  select oid from pg_namespace where nspname = 'pgsnow ledger' or nspname like 'pg!_%' escape '!')
"""
REFUSED = (
    "insert into users (id) values (99)",
    "update users set name = name",
    "delete from users",
    "truncate users",
    "do $$ begin lock table users in share mode; end $$",
    "select * from users for update",
    "create trigger t before insert on users execute function pg_catalog.suppress_redundant_updates_trigger()",
    "create rule r as on insert to users do nothing",
    "alter table users add column more int",
    "drop table users",
    "create index on users (name)",
    "comment on table users is 'mine'",
    'select * from "Shop".private',
    """select pg_catalog.nextval('"Shop".marked_id_seq')""",
    """select pg_catalog.setval('"Shop".marked_seen_seq', 1)""",
    "select public.touch()",
    "create table public.mine (id int)",
    'create table "Shop".mine (id int)',
    "create temporary table mine (id int)",
    "create schema mine",
    "create publication mine for table users",
    "create publication mine for all tables",
    "create role mine",
    "create database mine",
    "create extension file_fdw",
    "alter system set work_mem = '1GB'",
    "alter role current_user superuser",
    "alter role current_user bypassrls",
    "alter database postgres set work_mem = '1GB'",
    "copy (select 1) to program 'true'",
    "copy (select 1) to '/tmp/pgsnow-may-not-write-this'",
    "select pg_catalog.pg_read_file('postgresql.conf')",
    "select pg_catalog.lo_import('/etc/passwd')",
    "select pg_catalog.pg_switch_wal()",
    "select pg_catalog.pg_reload_conf()",
    "select rolpassword from pg_catalog.pg_authid",
)
INSUFFICIENT_PRIVILEGE = "42501"
ATTRIBUTES = "rolsuper, rolcreatedb, rolcreaterole, rolbypassrls, rolreplication"


class LimitedRole:
    """A world whose settings are those of a role with the printed grants."""

    def __init__(self, world: MemoryWorld) -> None:
        self.world = world
        database = world.source.info.dbname
        self.role = f"limited {database}"
        owner = world.env["POSTGRES_DSN"]
        self.dsn = make_conninfo(owner, user=self.role)
        world.settings = Settings.from_env({**world.env, "POSTGRES_DSN": self.dsn})
        world.sql(TABLES)
        world.options["ledger_schema"] = LEDGER
        world.tables = [
            {**world.tables[0], "deletes": "hard"},
            {"source": '"Shop".marked', "target": "s.marked", "pk": "id", "watermark_column": "seen"},
            {
                "source": '"Shop".by_xmin',
                "target": "s.by_xmin",
                "mode": "xmin",
                "deletes": "hard",
                "pk": "id",
            },
            {"source": '"Shop".whole', "target": "s.whole", "mode": "full", "pk": "id"},
        ]

    def grant(self) -> None:
        config = self.world.config
        database = self.world.source.info.dbname
        for statement in (
            *source_grants(self.role, database, config.enabled),
            *ledger_grants(self.role, database, LEDGER),
        ):
            self.world.sql(statement)

    def allowed(self) -> list[str]:
        """Those of the statements that are not refused because a right is missing."""
        found = []
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            for statement in REFUSED:
                try:
                    conn.execute(statement.encode())
                    found.append(statement)
                except psycopg.Error as error:
                    if error.sqlstate != INSUFFICIENT_PRIVILEGE:
                        found.append(f"{statement}: {error}")
        return found

    def writable(self) -> list[tuple[str, ...]]:
        """Tables, columns, sequences, functions and schemas outside of the ledger that the role may change."""
        who = f"'{self.role}'"
        return self.world.sql(
            f"""
            select 'table', c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
            where n.nspname <> '{LEDGER}' and n.nspname !~ '^pg_toast' and c.relkind in ('r', 'p', 'v', 'm', 'f')
            and (has_table_privilege({who}, c.oid, 'insert, update, delete, truncate, references, trigger')
                 or has_any_column_privilege({who}, c.oid, 'insert, update, references'))
            and not (n.nspname = 'pg_catalog' and c.relname = 'pg_settings')
            union all
            select 'sequence', c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
            where n.nspname <> '{LEDGER}'
            and case when c.relkind = 'S' then has_sequence_privilege({who}, c.oid, 'usage, update') end
            union all
            select 'schema', nspname from pg_namespace
            where nspname <> '{LEDGER}' and has_schema_privilege({who}, oid, 'create')
            union all
            select 'database', datname from pg_database
            where datname = current_database() and has_database_privilege({who}, oid, 'create, temporary')
            union all
            select 'owner', c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
            where n.nspname <> '{LEDGER}' and n.nspname !~ '^pg_toast' and pg_get_userbyid(c.relowner) = {who}
            """
        )

    def attributes(self) -> tuple[bool, ...]:
        [found] = self.world.sql(f"select {ATTRIBUTES} from pg_roles where rolname = '{self.role}'")
        return found

    def drop(self) -> None:
        self.world.close_engine()
        self.world.sql(
            "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = current_database()"
        )
        self.world.sql(f'drop owned by "{self.role}" cascade')
        self.world.sql(f'drop role "{self.role}"')


@pytest.fixture
def limited(memory_world: MemoryWorld) -> Iterator[LimitedRole]:
    role = LimitedRole(memory_world)
    yield role
    role.drop()


def work(limited: LimitedRole) -> None:
    """What a worker, and a person at the command line, do with the source."""
    world = limited.world
    for table in world.tables:
        if "deletes" in table:  # searched for in each tick, however quickly one follows another
            table |= {"sweep_every": "1ms", "sweep_share": "100%"}
    with world.engine() as engine:
        for statement in ("select 1", CHANGES, "select 1", "select 1"):
            world.sql(statement)
            assert [(table.table, table.error) for table in engine.tick().failures] == []
        assert [
            one.level for one in check_ledger(world.settings.ledger, LEDGER) if one.level == "failed"
        ] == []
    found = in_source(world.config, world.settings, world.config.tables, full=False)
    assert [one.preview.error for one in found if one.preview.error] == []
    world.assert_equal()


def may_write_nothing_else(limited: LimitedRole, *, replication: bool) -> None:
    assert limited.attributes() == (False, False, False, False, replication)
    assert limited.writable() == []
    assert limited.allowed() == []
    assert not Path("/tmp/pgsnow-may-not-write-this").exists()


def test_the_printed_grants_suffice_and_allow_no_write_outside_of_the_ledger(limited: LimitedRole) -> None:
    """Tables by watermark, by transaction id and as a whole, with deletes: read, compared, planned. Each statement that
    would write, read another table, or change the server is refused by it; no object outside of the ledger is made."""
    limited.grant()
    before = limited.world.sql(OUTSIDE)
    work(limited)
    assert limited.world.sql(OUTSIDE) == before
    may_write_nothing_else(limited, replication=False)


def test_the_log_needs_replication_and_nothing_more(limited: LimitedRole) -> None:
    """The publication's statements are left to the owner of the tables. Afterwards the role makes its slot and reads
    changes and deletes from it."""
    world = limited.world
    logged = {"source": '"Shop".logged', "target": "s.logged", "mode": "log", "pk": "id", "deletes": "hard"}
    world.tables = [world.tables[0], logged]
    limited.grant()
    denied = set_up(world.config, world.settings, holder="me@here")
    assert "permission denied" in denied.denied
    for statement in denied.left:
        world.sql(statement)
    assert set_up(world.config, world.settings, holder="me@here").made
    work(limited)
    joined = f"select checkpoint->'log' is not null from \"{LEDGER}\".sync_watermarks order by 1"
    assert world.sql(joined) == [(False,), (True,)]
    may_write_nothing_else(limited, replication=True)
