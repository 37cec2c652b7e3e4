"""Whatever is wrong, the message is clear, the exit code right, nothing is lost, and other tables go on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pgsnow.embedded.postgres import FAST_AND_FORGETFUL, EmbeddedPostgres
from tests.acceptance.cli_user import USERS, Done, User

USERS_ENTRY = "source: public.users, target: a.users, pk: id, watermark_column: updated_at"
GOOD = f"tables:\n  - {{{USERS_ENTRY}}}\n"

BAD_FILES = {
    "no YAML": ("tables:\n  - source: [public.users\n", "is not valid YAML"),
    "a text": ("just some words\n", "is not a mapping"),
    "an unknown key": (GOOD.replace("pk:", "batchsize: 5, pk:"), "batchsize"),
    "a missing variable": (GOOD.replace("a.users", '"${NO_SUCH_SCHEMA}.users"'), "NO_SUCH_SCHEMA"),
    "no UTF-8": ("tables: \udcff\n", "UTF-8"),
}
"""One of each kind; test_bad_inputs.py has all of them, with their messages."""


@pytest.mark.parametrize("command", ["run", "check", "status"])
def test_a_bad_table_list_is_refused_with_file_and_key_before_anything_happens(
    newcomer: User, command: str
) -> None:
    for kind, (text, named) in BAD_FILES.items():
        newcomer.config.write_bytes(text.encode("utf-8", "surrogateescape"))
        command_of = newcomer.pgsnow if kind == "a text" else newcomer.here
        done = command_of(command)
        assert done.code == 2, kind
        assert done.out == "", kind
        assert "sync_config.yaml" in done.err, kind
        assert named in done.err, kind
    assert untouched(newcomer)


def test_every_problem_is_told_at_once(user: User) -> None:
    user.save(GOOD.replace("pk: id", "pk: 7, batch_size: x, colour: red") + "parallel_tables: none\n")
    done = user.here("run")
    assert done.code == 2
    assert all(key in done.err for key in ("batch_size", "colour", "parallel_tables"))


def test_a_missing_file_is_named(user: User) -> None:
    user.config.unlink()
    assert "no table list found" in user.here("run").err
    named = user.here("run", "--config", "elsewhere.yaml")
    assert (named.code, "elsewhere.yaml" in named.err) == (2, True)


def test_missing_settings_are_named_all_at_once(user: User) -> None:
    user.env.pop("POSTGRES_DSN")
    user.env.pop("SNOWFLAKE_ACCOUNT")
    done = user.here("run")
    assert done.code == 2
    assert "POSTGRES_DSN" in done.err
    assert "SNOWFLAKE_ACCOUNT" in done.err


@pytest.fixture
def locked(servers_dir: Path, postgres: EmbeddedPostgres) -> Iterator[EmbeddedPostgres]:
    """A Postgres that asks `app` for its password."""
    rules = servers_dir / "pg_hba.conf"
    rules.write_text("host all app 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n")
    rules.chmod(0o644)
    config = {**FAST_AND_FORGETFUL, "hba_file": str(rules)}
    with EmbeddedPostgres(servers_dir / "locked", config=config) as server:
        with psycopg.connect(server.dsn(), autocommit=True) as owner:
            owner.execute("create role app login superuser password 'the right one'")
            owner.execute(USERS.encode())
        yield server


def test_a_wrong_password_is_refused_without_being_shown(user: User, locked: EmbeddedPostgres) -> None:
    wrong = f"postgresql://app:the-wrong-0ne@127.0.0.1:{locked.port}/postgres"
    for command in ("run", "status", "plan"):
        done = user.here(command, POSTGRES_DSN=wrong)
        assert done.code == 2, command
        assert "password" in done.err
        assert "the-wrong-0ne" not in done.out + done.err
    checked = user.here("check", POSTGRES_DSN=wrong)
    assert checked.code == 1
    assert "the-wrong-0ne" not in checked.out + checked.err
    source_only = user.here("run", POSTGRES_DSN=wrong, LEDGER_DSN=user.dsn)
    assert source_only.code == 1
    assert "password" in source_only.err
    assert "the-wrong-0ne" not in source_only.out + source_only.err
    shown = user.here("status", "--output", "json", LEDGER_DSN=user.dsn).json
    assert [(table["state"], "password" in table["why"]) for table in shown] == [("failed", True)] * 2


def test_an_unreachable_postgres_ends_with_2_and_says_which(user: User) -> None:
    done = user.here("run", POSTGRES_DSN="postgresql://postgres@127.0.0.1:1/app")
    assert done.code == 2
    assert "→" in done.err


def test_an_unreachable_snowflake_fails_the_tables_and_loses_nothing(user: User) -> None:
    done = user.here("run", "--output", "json", SNOWFLAKE_PORT="1")
    assert done.code == 1
    assert {t["error_type"] for t in done.json["tables"]} == {"TargetUnavailable"}
    assert {t["transient"] for t in done.json["tables"]} == {True}
    equal_after_a_run(user)


def fails_alone(user: User, says: str) -> Done:
    """users has failed with this message; checkins was synced."""
    done = user.here("run", "--output", "json")
    assert done.code == 1, done.err
    found = {t["table"]: t for t in done.json["tables"]}
    users = found["public.users"] if "public.users" in found else found["public.nope"]
    assert users["status"] == "error"
    assert says in users["error"]
    assert says in done.err
    assert found["public.checkins"]["status"] == "ok"
    assert found["public.checkins"]["rows_inserted"] == 500
    return done


def equal_after_a_run(user: User) -> None:
    run = user.here("run")
    assert run.code == 0, run.err
    verified = user.here("verify")
    assert verified.code == 0, verified.out + verified.err


def untouched(user: User) -> bool:
    return user.sql("select to_regclass('public.sync_watermarks')") == [(None,)]


def test_a_missing_source_table(user: User) -> None:
    user.tables[0]["source"] = "public.nope"
    user.save()
    assert "→" in fails_alone(user, "public.nope").err
    user.tables[0]["source"] = "public.users"
    user.save()
    equal_after_a_run(user)


WRONG: list[tuple[str, object, str]] = [
    ("watermark_column", "changed_at", "no column changed_at"),
    ("watermark_column", "name", "has type text"),
    ("pk", "uid", "no column uid"),
    ("pk", "name", "no unique index"),
    ("columns", {"exclude": ["nope"]}, "no column nope"),
    ("transform", "no_such_module:function", "no_such_module"),
    ("transform", "json:no_such_function", "no_such_function"),
]


def test_what_is_wrong_with_a_table_stops_that_table_alone(user: User) -> None:
    users, checkins = user.tables
    copies = [{**users, "name": f"case{at}", "target": f"analytics.case{at}"} for at in range(len(WRONG))]
    user.tables = [
        checkins,
        *({**copy, key: value} for copy, (key, value, _) in zip(copies, WRONG, strict=True)),
    ]
    user.save()
    checked = user.here("check")
    assert checked.code == 1
    done = user.here("run", "--output", "json")
    assert done.code == 1, done.err
    found = {t["table"]: t for t in done.json["tables"]}
    assert (found["public.checkins"]["status"], found["public.checkins"]["rows_inserted"]) == ("ok", 500)
    for at, (_, _, says) in enumerate(WRONG):
        assert found[f"case{at}"]["status"] == "error"
        assert says in found[f"case{at}"]["error"]
        assert says in done.err
        assert says in checked.out
    user.tables = [checkins, copies[0]]
    user.save()
    equal_after_a_run(user)


def test_a_target_with_a_conflicting_column(user: User) -> None:
    base = user.snowflake["SNOWFLAKE_DATABASE"]
    user.query(f'CREATE SCHEMA IF NOT EXISTS "{base}"."ANALYTICS"')
    user.query(f'CREATE TABLE "{base}"."ANALYTICS"."USERS" ("ID" NUMBER(38,0), "NAME" DATE)')
    fails_alone(user, "NAME")
    user.query(f'DROP TABLE "{base}"."ANALYTICS"."USERS"')
    equal_after_a_run(user)


def test_a_transform_that_raises_on_one_row_of_a_thousand(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    (user.folder / "strict_once.py").write_text("def row(r):\n    1 / (r['id'] - 500)\n    return r\n")
    monkeypatch.syspath_prepend(user.folder)
    user.tables[0]["transform"] = "strict_once:row"
    user.save()
    one_row_is_rejected(user, "division by zero")


@pytest.mark.parametrize(
    "change",
    [
        "update public.users set balance = 'NaN' where id = 500",
        "alter table public.users add seen timestamptz; update public.users set seen = 'infinity' where id = 500",
    ],
)
def test_a_value_that_the_target_type_cannot_hold(user: User, change: str) -> None:
    user.sql(change)
    one_row_is_rejected(user, "")


def one_row_is_rejected(user: User, reason: str) -> None:
    """Row 500 is rejected, the other 999 and the other table are in Snowflake."""
    done = user.here("run", "--output", "json")
    assert done.code == 0, done.err
    found = {t["table"]: t for t in done.json["tables"]}
    assert (found["public.users"]["status"], found["public.users"]["rows_inserted"]) == ("partial", 999)
    assert found["public.checkins"]["rows_inserted"] == 500
    assert "1 row rejected" in done.err
    [error] = user.here("errors", "list", "--output", "json").json
    assert error["key"] == {"id": "500"}
    assert reason in error["reason"]
    [users, _] = user.here("verify", "--output", "json").json
    assert (users["equal"], users["quarantined"]) == (True, 1)


def test_more_bad_rows_than_allowed_stop_the_table_and_move_nothing(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    (user.folder / "strict_always.py").write_text("def row(r):\n    raise ValueError('never')\n")
    monkeypatch.syspath_prepend(user.folder)
    user.tables[0] |= {"transform": "strict_always:row", "max_rejected_rows": 10}
    user.save()
    fails_alone(user, "more than 10 rows were rejected")
    user.tables[0]["transform"] = None
    user.save()
    equal_after_a_run(user)
