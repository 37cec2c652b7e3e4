"""`check`: each finding with its fix."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.acceptance.cli_user import User


def findings(user: User, **env: str) -> dict[str, list[dict[str, Any]]]:
    done = user.pgsnow("check", "--output", "json", **env)
    found: dict[str, list[dict[str, Any]]] = {}
    for finding in done.json:
        found.setdefault(finding["name"], []).append(finding)
        assert finding["level"] == "ok" or finding["fix"], finding
    failed = any(f["level"] == "failed" for group in found.values() for f in group)
    assert done.code == (1 if failed else 0), done.err
    return found


def test_a_good_set_up_has_nothing_failed_and_nothing_is_written(user: User) -> None:
    done = user.pgsnow("check")
    assert done.code == 0, done.out + done.err
    assert "0 failed" in done.err
    assert user.sql("select to_regclass('public.sync_watermarks')") == [(None,)]
    for name in (
        "postgres",
        "clock",
        "primary",
        "activity",
        "read by: socket",
        "ledger",
        "public.users",
        "broker",
    ):
        assert name in done.out


def test_a_deprecated_key_is_a_warning_with_its_line(user: User) -> None:
    user.save()
    user.save("max_rejected_rows: 5\n" + user.config.read_text())
    [_, warning] = findings(user)["configuration"]
    assert warning["level"] == "warning"
    assert "sync_config.yaml:1: max_rejected_rows: is deprecated at the top level" in warning["detail"]


@pytest.mark.parametrize(
    ("change", "says", "fix"),
    [
        (
            "drop index public.users_updated_at_idx",
            "no index on updated_at",
            'CREATE INDEX CONCURRENTLY ON "public"."users" ("updated_at");',
        ),
        (
            "alter table public.users alter updated_at drop not null",
            "may be NULL",
            'ALTER TABLE "public"."users" ALTER COLUMN "updated_at" SET NOT NULL;',
        ),
        ("alter table public.users alter updated_at type timestamp", "no time zone", "watermark_timezone"),
    ],
)
def test_what_makes_a_table_slow_is_a_warning_with_its_statement(
    user: User, change: str, says: str, fix: str
) -> None:
    user.sql(change)
    warnings = [f for f in findings(user)["public.users"] if f["level"] == "warning"]
    [doubt] = [
        f for f in warnings if f["detail"].startswith("watermark_column updated_at: no trigger sets it")
    ]
    [warning] = [f for f in warnings if f != doubt]
    assert says in warning["detail"]
    assert fix in warning["fix"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("drop table public.users", "public.users"),
        ("alter table public.users drop constraint users_pkey", "no unique index"),
        ("alter table public.users drop column updated_at", "updated_at"),
        ("alter table public.users alter updated_at type text", "has type text"),
    ],
)
def test_what_makes_a_table_impossible_has_failed(user: User, change: str, says: str) -> None:
    user.sql(change)
    found = findings(user)
    [failed] = found["public.users"]
    assert failed["level"] == "failed"
    assert says in failed["detail"]
    assert found["public.checkins"][0]["level"] == "ok"


def test_a_role_without_grants_is_told_the_grants(user: User, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as owner:
        owner.execute("create role reader_of_nothing login password 'xyz'")
    try:
        dsn = database.replace("postgres@", "reader_of_nothing@", 1)
        found = findings(user, POSTGRES_DSN=dsn, LEDGER_DSN=user.dsn)
        [denied] = found["public.users"]
        assert denied["level"] == "failed"
        assert denied["fix"] == "GRANT SELECT ON public.users TO reader_of_nothing;"
        assert "GRANT pg_read_all_stats TO reader_of_nothing;" in found["activity"][0]["fix"]
        ledger = findings(user, LEDGER_DSN=dsn)["ledger"][0]
        assert (ledger["level"], ledger["fix"]) == (
            "failed",
            "GRANT USAGE, CREATE ON SCHEMA public TO reader_of_nothing;",
        )
    finally:
        with psycopg.connect(database, autocommit=True) as owner:
            owner.execute("drop role reader_of_nothing")


def test_a_prepared_transaction_that_lingers_is_told_with_how_to_end_it(user: User, database: str) -> None:
    with psycopg.connect(database) as conn:
        conn.execute("insert into public.users (id) values (5000)")
        conn.execute("prepare transaction 'it''s forgotten'")
    [warning] = [f for f in findings(user)["prepared transactions"] if f["level"] == "warning"]
    assert "ROLLBACK PREPARED 'it''s forgotten';" in warning["fix"]


def test_a_target_column_that_clashes_has_failed(user: User) -> None:
    base = user.snowflake["SNOWFLAKE_DATABASE"]
    user.query(f'CREATE SCHEMA IF NOT EXISTS "{base}"."ANALYTICS"')
    user.query(f'CREATE TABLE "{base}"."ANALYTICS"."USERS" ("ID" NUMBER(38,0), "NAME" DATE)')
    failed = [f for f in findings(user)["target of public.users"] if f["level"] == "failed"]
    assert len(failed) == 1
    assert "NAME" in failed[0]["detail"]


def test_a_database_that_is_not_there_has_failed(user: User) -> None:
    found = findings(user, SNOWFLAKE_DATABASE="NOT_THERE")
    assert any(f["level"] == "failed" and "NOT_THERE" in f["detail"] for f in found["snowflake database"])


def test_a_broker_that_loses_tasks_has_failed(user: User) -> None:
    assert findings(user, CELERY_BROKER_URL="filesystem://")["broker"][0]["level"] == "failed"
    assert findings(user, CELERY_BROKER_URL="")["broker"][0]["level"] == "warning"


def test_two_tables_with_one_target_are_refused(user: User) -> None:
    user.tables[1]["target"] = "ANALYTICS.USERS"
    user.save()
    assert user.pgsnow("check").code == 2


def test_a_server_that_does_not_answer_leaves_the_other_ends_findings(user: User) -> None:
    found = findings(user, POSTGRES_DSN="postgresql://postgres@127.0.0.1:1/none", LEDGER_DSN=user.dsn)
    assert found["postgres"][0]["level"] == "failed"
    assert found["ledger"][0]["level"] == "ok"
    assert found["snowflake"][0]["level"] == "ok"
    found = findings(user, SNOWFLAKE_PORT="1")
    assert found["snowflake"][0]["level"] == "failed"
    assert found["postgres"][0]["level"] == "ok"


def test_failures_alone_are_shown_and_the_rest_is_counted(user: User) -> None:
    """With many tables, what is ok would hide what is not."""
    user.sql("drop table public.users")
    done = user.here("check", "--failures")
    assert [line.split()[:2] for line in done.out.splitlines()[1:]] == [["public.users", "failed"]]
    assert "checks: 1 failed" in done.err
    assert [each["name"] for each in user.here("check", "--failures", "-o", "json").json] == ["public.users"]
