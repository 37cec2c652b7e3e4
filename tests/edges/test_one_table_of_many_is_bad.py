"""One table of many is bad.

Group: process
Danger: `pgsnow verify` prints nothing for 26 good tables because it cannot read one; so do discover, plan and check.
Answer: every command goes on past a table that fails, as a run does, reports it with its error and the fix, and ends
with exit code 1. The result of the others is complete.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pgsnow.embedded.postgres import EmbeddedPostgres
from pgsnow.embedded.snowflake import EmbeddedSnowflake
from pgsnow.postgres import connection
from tests.acceptance.cli_user import Done, User
from tests.servers import own_database

SOURCE = """
create schema closed; create table closed.t (id int primary key);
create table b_denied (id int primary key);
create table b_key (id int primary key);
create table b_where (id int primary key);
create table b_transform (id int primary key);
create table b_conflict (id int primary key, name text);
create table b_late (id int primary key, n int); insert into b_late values (1, 1), (2, 0);
create table b_locked (id int primary key); insert into b_locked values (1);
create table b_view_base (id int);
create function numbers() returns table (id int) language plpgsql
    as $$ begin return query select b.id from b_view_base b; end $$;
create view b_view as select * from numbers();
create view b_value as select id, 1 / n as n from b_late;
drop table b_view_base;
create role one_of_many login; grant usage on schema public to one_of_many;
grant select on all tables in schema public to one_of_many; revoke all on b_denied from one_of_many;
grant pg_read_all_stats to one_of_many;
"""
FULL: dict[str, Any] = {"mode": "full"}
BAD: dict[str, dict[str, Any]] = {
    "public.b_dropped": FULL,
    "public.b_denied": FULL,
    "closed.t": FULL,
    "public.b_view": FULL,
    "public.b_value": FULL,
    "public.b_key": {"mode": "xmin", "pk": "nothing"},
    "public.b_where": {"mode": "xmin", "where": "id = = 1"},
    "public.b_transform": {
        "mode": "xmin",
        "transform": {"function": "tests.edges.breaks_when_imported:rows"},
    },
    "public.b_conflict": {"mode": "xmin"},
}
GOOD = ("public.users", "public.b_locked", "public.checkins")


@pytest.fixture(scope="module")
def many(
    postgres: EmbeddedPostgres,
    user_template: str,
    emulator: EmbeddedSnowflake,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[User]:
    """A good table, nine bad ones, one that is locked at times, and another good one."""
    folder, base = tmp_path_factory.mktemp("many"), f"T_{secrets.token_hex(6).upper()}"
    emulator.create_database(base)
    with own_database(postgres, user_template) as dsn:
        user = User(folder, dsn, emulator.settings_env(database=base))
        user.sql(SOURCE)
        bad = [
            {"source": name, "target": f"analytics.{name.rpartition('.')[2]}", **entry}
            for name, entry in BAD.items()
        ]
        locked = {"source": "public.b_locked", "target": "analytics.b_locked", "mode": "xmin"}
        user.tables[1:1] = [*bad, locked]
        user.save()
        user.env |= {"POSTGRES_DSN": make_conninfo(user.dsn, user="one_of_many"), "LEDGER_DSN": user.dsn}
        user.query("CREATE SCHEMA IF NOT EXISTS ANALYTICS")
        user.query("CREATE TABLE ANALYTICS.B_CONFLICT (ID NUMBER(38,0), NAME DATE)")
        yield user
        user.sql("drop owned by one_of_many; drop role one_of_many")
        user.close()
    emulator.drop_database(base)


def failed(done: Done, *but: str) -> dict[str, Any]:
    """The records of the bad tables, all of which have an error with advice; the good ones have none."""
    records = {record["table"]: record for record in done.json}
    assert set(records) == {*GOOD, *BAD}
    for name, record in records.items():
        assert bool(record["error"]) == (name in BAD and name not in but), record
        assert not record["error"] or record["advice"], record
        assert not record["error"] or name in done.err
    return records


def test_run(many: User) -> None:
    """The measure of the other commands."""
    done = many.here("run", "-o", "json", "--quiet")
    records = {record["table"]: record for record in done.json["tables"]}
    failing = ("error", "backing-off")  # the second, if another test has run them before
    assert {name for name, record in records.items() if record["status"] in failing} == set(BAD)
    assert done.code == 1


def test_verify(many: User) -> None:
    """The good tables are compared, before and after the bad ones."""
    many.here("run", "--quiet", *(word for name in GOOD for word in ("-s", name)))
    done = many.here("verify", "-o", "json")
    records = failed(done, "public.b_conflict")
    assert [records[name]["equal"] for name in GOOD] == [True, True, True]
    assert done.code == 1


def test_plan(many: User) -> None:
    """The previews of the good tables are complete."""
    done = many.here("plan", "-o", "json")
    records = failed(done)
    assert all(records[name]["reads"] for name in GOOD)
    assert done.code == 1


def test_apply(many: User) -> None:
    """The DDL of the good tables is sent, and the bad ones are told."""
    done = many.here("apply", "-o", "json", "--yes")
    assert done.code == 1
    assert "b_dropped" in done.err


def test_check(many: User) -> None:
    """Each bad table has a failed result with a fix; the good ones, and their targets, are ok."""
    done = many.here("check", "-o", "json")
    levels: dict[str, set[str]] = {}
    for result in done.json:
        name = result["name"].removeprefix("target of ")
        levels.setdefault(name, set()).add(result["level"])
        assert result["level"] == "ok" or result["fix"], result
    bad = {name for name, found in levels.items() if "failed" in found}
    assert bad == set(BAD)
    assert done.code == 1


@pytest.mark.parametrize("command", ["run", "verify", "plan", "check", "discover"])
def test_a_table_that_is_locked(many: User, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another session holds it for longer than a command waits."""
    monkeypatch.setitem(connection.READ_SETTINGS, "lock_timeout", "100ms")
    options = {
        "run": ["--quiet", "-s", "public.checkins", "-s", "public.b_locked"],
        "discover": ["--profile"],
    }
    with psycopg.connect(many.dsn) as holder:
        holder.execute("lock table b_locked in access exclusive mode")
        done = many.here(command, "-o", "json", *options.get(command, []))
    assert done.code == 1
    assert "public.b_locked" in done.err + done.out
    assert "keeps the table locked" in done.err + done.out
    assert '"public.users"' in done.out or command == "run"


def test_discover(many: User) -> None:
    """Also with --profile, which reads rows: a relation that cannot be read is refused with the reason."""
    for options in ([], ["--profile"], ["--views", "--profile"]):
        done = many.here("discover", "-o", "json", *options)
        found = {record["table"] for record in done.json}
        assert {*GOOD, "public.b_denied", "public.b_late"} <= found
        assert done.code == 0


@pytest.mark.parametrize(
    "command", [["status"], ["errors", "list"], ["grants"], ["schema"]], ids=lambda c: c[0]
)
def test_commands_that_read_no_table(many: User, command: list[str]) -> None:
    """They know nothing of the fault, or what the ledger says of it."""
    assert many.here(*command).code == 0


def test_replay_goes_on_past_a_bad_table(many: User) -> None:
    """Errors of a good table are replayed, although those of a table that was dropped cannot be."""
    many.here("run")  # the ledger is there
    for name in ("public.b_dropped", "public.users"):
        many.sql(
            "insert into sync_errors (source_table, key, key_digest, reason, run_id) values"
            f" ('{name}', '{{\"id\": \"1\"}}', '{name}', 'x', 'r')"
        )
    done = many.here("errors", "replay", "--all", "-o", "json")
    states = {record["table"]: record["status"] for record in done.json["tables"]}
    assert states["public.b_dropped"] == "error"
    assert states["public.users"] in ("ok", "idle")
    assert done.code == 1
