"""Rows that are deleted in Postgres, as a user sees it: `run`, `plan`, `status`, `run --confirm-deletes`."""

from __future__ import annotations

from tests.acceptance.cli_user import User
from tests.progress import wait_until

RESTED = """
select extract(epoch from clock_timestamp()) > (sweep->>'swept_at')::float8 + (sweep->>'seconds')::float8
from sync_watermarks where source_table = 'public.users'
"""
"""True once the next search may begin, with `sweep_share: 100%`."""


def rows(user: User) -> int:
    name = f'"{user.snowflake["SNOWFLAKE_DATABASE"]}"."ANALYTICS"."USERS"'
    return int(user.query(f"select count(*) from {name}")[0][0])


def delete(user: User, condition: str) -> None:
    """Delete users, so that the next command finds a search for deleted rows due when this returns: Postgres has
    counted them, and as much time has gone by as the last search has taken, which is long on a slow machine."""
    user.sql(f"delete from public.users where {condition}")
    user.sql("select pg_stat_force_next_flush()")
    wait_until(lambda: user.sql(RESTED)[0][0], "the pause after a search is over")


def test_deleted_rows_leave_snowflake_and_all_rows_only_with_a_confirmation(user: User) -> None:
    """A few deleted rows are shown by `plan` and gone after `run`. When every row is gone, nothing is deleted: `run`
    fails, names the number of rows and the command to go on with, and that command deletes them."""
    user.options = {"defaults": {"sweep_share": "100%"}}
    del user.tables[1]
    user.save()
    assert user.here("run").code == 0
    delete(user, "id <= 3")
    planned = user.here("plan", "--select", "public.users").out
    assert "deleted in the source: 3 rows of the target" in planned, planned
    ran = user.pgsnow("run")
    assert ran.code == 0, ran.err
    assert "deleted 3 rows" in ran.out + ran.err
    assert rows(user) == 997

    delete(user, "true")
    blocked = user.here("run")
    assert blocked.code == 1
    assert "997 rows" in blocked.out + blocked.err
    assert "pgsnow run --select public.users --confirm-deletes" in blocked.out + blocked.err
    assert rows(user) == 997
    assert "997 rows" in user.here("status").out
    confirmed = user.here("run", "--select", "public.users", "--confirm-deletes")
    assert confirmed.code == 0, confirmed.err
    assert rows(user) == 0
    assert user.here("run").code == 0
