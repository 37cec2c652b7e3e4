"""`check`: each finding with its fix."""

from __future__ import annotations

from typing import Any

import psycopg

from tests.acceptance.cli_user import SECRET, User


def findings(user: User, **env: str) -> dict[str, list[dict[str, Any]]]:
    done = user.here("check", "--output", "json", **env)
    found: dict[str, list[dict[str, Any]]] = {}
    for finding in done.json:
        found.setdefault(finding["name"], []).append(finding)
        assert finding["level"] == "ok" or finding["fix"], finding
    failed = any(f["level"] == "failed" for group in found.values() for f in group)
    assert done.code == (1 if failed else 0), done.err
    return found


def test_a_good_set_up_has_nothing_failed_and_nothing_is_written(newcomer: User) -> None:
    done = newcomer.pgsnow("check")
    assert done.code == 0, done.out + done.err
    assert "0 failed" in done.err
    assert newcomer.sql("select to_regclass('public.sync_watermarks')") == [(None,)]
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


SLOW = {
    "without_index": (
        "drop index public.without_index_updated_at_idx",
        "no index on updated_at",
        'CREATE INDEX CONCURRENTLY ON "public"."without_index" ("updated_at");',
    ),
    "nullable": (
        "alter table public.nullable alter updated_at drop not null",
        "may be NULL",
        'ALTER TABLE "public"."nullable" ALTER COLUMN "updated_at" SET NOT NULL;',
    ),
    "without_zone": (
        "alter table public.without_zone alter updated_at type timestamp",
        "no time zone",
        "watermark_timezone",
    ),
}
"""A table → what was done to it, the warning, and its fix."""
IMPOSSIBLE = {
    "dropped": ("drop table public.dropped", "public.dropped"),
    "without_key": ("alter table public.without_key drop constraint without_key_pkey", "no unique index"),
    "without_watermark": ("alter table public.without_watermark drop column updated_at", "updated_at"),
    "of_text": ("alter table public.of_text alter updated_at type text", "has type text"),
}
"""A table → what was done to it, and the failure."""


def test_what_makes_a_table_slow_or_impossible_is_told_of_that_table_alone(user: User) -> None:
    """What makes it slow is a warning with the statement that helps; what makes it impossible has failed. The tables
    beside it are good."""
    changes = {
        **{name: case[0] for name, case in SLOW.items()},
        **{n: case[0] for n, case in IMPOSSIBLE.items()},
    }
    for name, change in changes.items():
        user.sql(f"create table public.{name} (like public.users including all); {change}")
        user.tables.append({**user.tables[0], "source": f"public.{name}", "target": f"analytics.{name}"})
    user.save()
    found = findings(user)
    for name, (_, says, fix) in SLOW.items():
        warnings = [f for f in found[f"public.{name}"] if f["level"] == "warning"]
        unproven = "watermark_column updated_at: no trigger sets it"
        [doubt] = [f for f in warnings if f["detail"].startswith(unproven)]
        [warning] = [f for f in warnings if f != doubt]
        assert says in warning["detail"], name
        assert fix in warning["fix"], name
    for name, (_, says) in IMPOSSIBLE.items():
        [failed] = found[f"public.{name}"]
        assert failed["level"] == "failed", name
        assert says in failed["detail"], name
    assert found["public.checkins"][0]["level"] == "ok"


def test_a_role_without_grants_is_told_the_grants(newcomer: User) -> None:
    user, database = newcomer, newcomer.dsn
    with psycopg.connect(database, autocommit=True) as owner:
        owner.execute("create role reader_of_nothing login password 'xyz'")
    try:
        dsn = database.replace(f"postgres:{SECRET}@", "reader_of_nothing@", 1)
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


def test_a_prepared_transaction_that_lingers_is_told_with_how_to_end_it(user: User) -> None:
    with psycopg.connect(user.dsn) as conn:
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
