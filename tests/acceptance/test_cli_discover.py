"""`discover`, `init` and `grants`: from a database nobody described to tables that are equal at both ends."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from pgsnow.embedded.postgres import EmbeddedPostgres
from tests.acceptance.cli_user import User
from tests.acceptance.shops import MUSIC, REFUSED, RENTAL, SYNCED, TRADE
from tests.servers import own_database

OWN = {"public.users", "public.checkins"}


@pytest.fixture(scope="module")
def shops_template(postgres: EmbeddedPostgres, source_template: str) -> Iterator[str]:
    """The name of a database that holds three applications' schemas too, to make others from."""
    with own_database(postgres, source_template) as dsn:
        with psycopg.connect(dsn, autocommit=True) as connection:
            for schema in (RENTAL, MUSIC, TRADE):
                connection.execute(schema.encode())
        yield dsn.rpartition("/")[2]


@pytest.fixture
def shops(
    postgres: EmbeddedPostgres, shops_template: str, snowflake_env: dict[str, str], tmp_path: Path
) -> Iterator[User]:
    """A user without a table list and a ledger, whose source holds three applications' schemas."""
    with own_database(postgres, shops_template) as dsn:
        user = User(tmp_path, dsn, snowflake_env)
        yield user
        user.close()


def found(user: User, *args: str, **env: str) -> dict[str, dict[str, Any]]:
    done = user.here("discover", "--output", "json", *args, **env)
    assert done.code == 0, done.err
    return {table["table"]: table for table in done.json}


CHANGES = """
update music.artist set name = 'changed' where artist_id % 2 = 0;
insert into music.track values (9001, 'new', 1, 1, null, 1, 1, 0.5);
update "Order Details" set "Discount" = 0.5 where "OrderID" = 7;
update orders set ship_name = 'changed' where order_id < 10;
update rental.payment set amount = 1.23 where payment_id = 3;
update rental.film set title = 'changed' where film_id = 3;
insert into capitals (id, name) values (33, 'also a place');
"""
"""In tables without a timestamp too: the column that was chosen makes the reader go by transaction id."""


@pytest.mark.parametrize(
    "schemas", [("rental",), pytest.param((), marks=pytest.mark.thorough)], ids=["one", "every"]
)
def test_what_discover_writes_is_planned_applied_and_run_with_no_hand_edit_and_ends_equal(
    shops: User, schemas: tuple[str, ...]
) -> None:
    """Every table of three application schemas (or of the one with the most kinds of tables) is equal in Snowflake,
    also after changes, or was refused with its reason."""
    tables = found(shops, "--views", "--write", "sync_config.yaml", *(f"--schema={name}" for name in schemas))
    synced, expected = (
        {name for name in names if not schemas or name.partition(".")[0] in schemas}
        for names in (SYNCED | OWN, REFUSED)
    )
    assert {name for name, table in tables.items() if table["entry"]} == synced
    assert all(table["mode"] and table["mode_reason"] for table in tables.values() if table["entry"])
    refused = {name: table["refusal"] for name, table in tables.items() if not table["entry"]}
    assert refused.keys() == expected
    for name in expected:
        assert REFUSED[name] in refused[name]
    check = shops.here("check")
    assert check.code == 0, check.out
    plan = shops.here("plan", "--output", "json", "--detailed-exitcode")
    assert plan.code == 4, plan.err
    assert {table["action"] for table in plan.json} == {"create"}
    applied = shops.here("apply", "--yes", "--output", "json")
    assert applied.code == 0, applied.err
    assert {table["table"] for table in applied.json} == synced
    first = shops.here("run", "--output", "json")
    assert first.code == 0, first.err
    assert {table["table"] for table in first.json["tables"]} == synced
    told = {event for table in first.json["tables"] for event in table["events"]}
    assert all(event.startswith("replaced the content of") for event in told), (
        "apply has done everything else"
    )
    shops.sql(CHANGES)
    assert shops.here("run").code == 0
    verify = shops.here("verify", "--output", "json")
    assert verify.code == 0, verify.out + verify.err
    assert {verdict["table"] for verdict in verify.json} == synced


def test_without_write_nothing_is_written(shops: User) -> None:
    before = sorted(shops.folder.iterdir())
    done = shops.here("discover", "--profile")
    assert done.code == 0
    assert "proposed" in done.out
    assert "refused" in done.out
    assert "public.clash → Rename one by" in done.err
    assert "left out: 1 × view: rental.film_list (--views proposes them)" in done.err
    assert "left out: 1 × materialized view: rental.film_count" in done.err
    assert "type: text[] → VARIANT: rental.film.special_features" in done.err
    assert sorted(shops.folder.iterdir()) == before
    assert shops.sql("select to_regclass('public.sync_watermarks')") == [(None,)]


def test_a_second_write_changes_no_byte_and_a_new_table_is_added_below(shops: User) -> None:
    found(shops, "--write", "sync_config.yaml")
    first = shops.config.read_bytes()
    again = found(shops, "--write", "sync_config.yaml")
    assert shops.config.read_bytes() == first
    assert again["rental.film"]["state"] == "listed"
    assert again["public.clash"]["state"] == "commented"
    shops.sql("create table public.late (id int primary key, updated_at timestamptz not null default now())")
    assert found(shops, "--write", "sync_config.yaml")["public.late"]["state"] == "proposed"
    assert shops.config.read_bytes().startswith(first)
    assert "  - source: public.late\n    target: late\n    pk: id\n" in shops.config.read_text()


def test_only_the_tables_that_were_asked_for_are_looked_at(shops: User) -> None:
    assert found(shops, "--schema", "music", "--include", "play*").keys() == {
        "music.playlist",
        "music.playlist_track",
    }
    assert "music.track" not in found(shops, "--exclude", "music.*")
    done = shops.here("discover", "--schema", "nothing")
    assert done.code == 2
    assert "Schemas with tables: music, public, rental" in done.err


def test_a_target_schema_keeps_tables_of_one_name_apart(shops: User) -> None:
    tables = found(shops, "--target-schema", "lake", "--include", "actor")
    assert {table["entry"]["target"] for table in tables.values()} == {"lake.actor", "lake.rental_actor"}


def test_discover_needs_no_snowflake(shops: User) -> None:
    shops.env = {name: value for name, value in shops.env.items() if not name.startswith("SNOWFLAKE_")}
    assert found(shops)


def test_a_scan_counts_what_the_catalog_does_not_know(shops: User) -> None:
    table = found(shops, "--profile", "--include", "payment")["rental.payment"]
    assert (table["rows"], table["profiled"], table["partitions"]) == (1200, True, 2)
    date = next(c for c in table["candidates"] if c["column"] == "payment_date")
    assert (date["null_share"], date["ascending"], date["distinct"]) == (0, 1, 1200)
    assert found(shops, "--profile", "--include", "places")["public.places"]["rows"] == 50


def test_a_role_without_rights_is_told_the_grant_for_each_table(shops: User) -> None:
    shops.sql("create role visitor login")
    try:
        shops.sql("grant usage on schema music to visitor; grant select on music.track to visitor")
        dsn = shops.dsn.split("@", 1)[1]
        tables = found(shops, POSTGRES_DSN=f"postgresql://visitor@{dsn}")
        assert tables["music.track"]["entry"]
        assert tables["music.album"]["fix"] == 'GRANT SELECT ON "music"."album" TO visitor;'
        assert tables["rental.film"]["fix"] == 'GRANT USAGE ON SCHEMA "rental" TO visitor;'
    finally:
        shops.sql("drop owned by visitor; drop role visitor")


class TestInit:
    def test_it_writes_a_table_list_and_a_template_of_the_environment(self, shops: User) -> None:
        done = shops.here("init", "--yes", "--schema", "music")
        assert done.code == 0, done.err
        assert "SNOWFLAKE_ACCOUNT=" in (shops.folder / ".env.example").read_text()
        assert shops.here("check").code == 0

    def test_it_never_overwrites(self, shops: User) -> None:
        shops.config.write_text("mine")
        (shops.folder / ".env.example").write_text("mine too")
        done = shops.here("init", "--yes")
        assert done.code == 2
        assert "pgsnow discover --write" in done.err
        shops.config.unlink()
        assert shops.here("init", "--yes").code == 0
        assert (shops.folder / ".env.example").read_text() == "mine too"

    def test_without_a_terminal_it_does_not_ask(self, shops: User) -> None:
        done = shops.here("init")
        assert done.code == 2
        assert "--yes" in done.err
        assert not shops.config.exists()

    def test_without_settings_it_leaves_the_template_and_says_what_is_missing(self, shops: User) -> None:
        del shops.env["POSTGRES_DSN"]
        done = shops.here("init", "--yes")
        assert done.code == 2
        assert "POSTGRES_DSN" in done.err
        assert (shops.folder / ".env.example").exists()


ROLE = 'Sync "reader"'


@pytest.fixture
def reader(newcomer: User) -> Iterator[sql.Identifier]:
    """A role that is not there yet; dropped afterwards."""
    role = sql.Identifier(ROLE)
    yield role
    with psycopg.connect(newcomer.dsn, autocommit=True) as owner:
        owner.execute(sql.SQL("drop owned by {0}; drop role {0}").format(role))


def test_the_grants_for_postgres_are_all_that_a_fresh_role_needs(
    newcomer: User, reader: sql.Identifier
) -> None:
    """Run by an administrator as printed, twice; then everything works as that role: check, run, verify."""
    newcomer.sql("create table public.events (id bigint generated always as identity primary key, body text)")
    newcomer.sql("insert into public.events (body) select 'e' from generate_series(1, 10)")
    newcomer.tables.append(
        {"source": "public.events", "target": "events", "pk": "id", "watermark_column": "id"}
    )
    newcomer.options["ledger_schema"] = "Ledger of ours"
    newcomer.save()
    where = re.sub(r"^postgresql://[^@]*@", "postgresql://Sync%20%22reader%22@", newcomer.dsn)
    for _ in range(2):
        for side in ("source", "ledger"):
            printed = newcomer.here("grants", "--side", side, POSTGRES_DSN=where)
            assert printed.code == 0, printed.err
            newcomer.sql(printed.out)
    check = newcomer.here("check", "--output", "json", POSTGRES_DSN=where)
    lacking = [f for f in check.json if f["level"] != "ok" and "snowflake" not in f["name"]]
    assert all("an update that does not move it is found by the audit only" in f["detail"] for f in lacking)
    assert len(lacking) == 3, "the watermark of each table is trusted, not proven"
    run = newcomer.here("run", POSTGRES_DSN=where)
    assert run.code == 0, run.out + run.err
    assert newcomer.here("verify", POSTGRES_DSN=where).code == 0
    status = newcomer.here("status", "--output", "json", POSTGRES_DSN=where)
    assert {table["read_mode"] for table in status.json} == {"watermark"}
    rights = newcomer.source.execute(
        "select has_table_privilege(%s, 'pg_authid', 'select')", [ROLE]
    ).fetchall()
    assert rights == [(False,)]


def test_grants_are_told_without_a_server(user: User) -> None:
    dead = {"POSTGRES_DSN": "postgresql://app_reader@127.0.0.1:1/app", "SNOWFLAKE_PORT": "1"}
    done = user.here("grants", "--output", "json", **dead)
    assert done.code == 0, done.err
    statements = [line["statement"] for line in done.json]
    assert 'GRANT SELECT ON "public"."users" TO "app_reader"' in statements
    base = user.snowflake["SNOWFLAKE_DATABASE"]
    assert (
        f'GRANT USAGE, CREATE TABLE, CREATE STAGE, CREATE FILE FORMAT ON SCHEMA "{base}"."ANALYTICS" TO ROLE "PGSNOW"'
        in statements
    )
