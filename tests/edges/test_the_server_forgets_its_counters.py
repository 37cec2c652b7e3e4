"""The server forgets how many rows were deleted.

Group: history
Danger: A crash of the server, or of a single one of its processes, sets all counters of deleted rows back to zero. Rows
that were deleted since the last look at them would stay in Snowflake, because the counters are the same as before.
Answer: Each start of the statistics has its own time, which is compared too: after it, the keys of both sides are
compared at once. A transaction that was prepared for two-phase commit counts when it is committed.
"""

from __future__ import annotations

import os
import signal
from typing import Any

import psycopg

from tests.edges.own_server import OwnServer, Shop
from tests.progress import wait_until


def compared(shop: Shop) -> set[str]:
    """The tables in which a tick has searched for deleted rows."""
    return {name for name, report in shop.tick().items() if report.ranges_compared}


def flush(shop: Shop) -> None:
    """Wait until the server shows what other sessions have counted."""
    query = "select sum(n_tup_del) from pg_stat_user_tables"
    wait_until(lambda: shop.sql(query)[0][0] > 0, "no delete was counted")


def test_rows_that_were_deleted_before_a_process_crashed_leave_the_target(shop: Shop) -> None:
    """The server goes on with the start time that it had, and with counters of zero, which the ledger remembers too."""
    compared(shop)
    assert compared(shop) == set()
    started = shop.sql("select pg_postmaster_start_time()")
    shop.sql("delete from users where id = 2; delete from items where id = 2")
    shop.sql("checkpoint")  # or the server would lose them
    with (
        psycopg.connect(shop.writer, autocommit=True) as victim,
        psycopg.connect(shop.writer, autocommit=True) as witness,
    ):
        os.kill(victim.info.backend_pid, signal.SIGKILL)
        wait_until(lambda: _has_ended(witness), "the server did not notice it")
    wait_until(lambda: _answers(shop), "the server did not come back")
    assert shop.sql("select pg_postmaster_start_time()") == started
    assert shop.sql("select sum(n_tup_del) from pg_stat_user_tables") == [(0,)]
    assert compared(shop) == {"public.users", "public.items"}
    shop.assert_equal()


def test_rows_that_were_deleted_before_a_crash_leave_the_target(shop: Shop, own_server: OwnServer) -> None:
    """The whole server is killed and started."""
    compared(shop)
    shop.sql("delete from users where id = 2; delete from items where id = 2")
    shop.sql("checkpoint")
    own_server.crash()
    compared(shop)
    shop.assert_equal()


def test_a_clean_restart_costs_nothing(shop: Shop, own_server: OwnServer) -> None:
    """The counters are kept, so nothing is searched for afterwards."""
    compared(shop)
    own_server.restart()
    compared(shop)
    assert compared(shop) == set()


def test_a_prepared_transaction_counts_when_it_is_committed(shop: Shop) -> None:
    """Its deletes are not visible before, and are found after."""
    compared(shop)
    with psycopg.connect(shop.writer, autocommit=True) as conn:
        conn.execute("begin; delete from users where id = 2; prepare transaction 'later'")
        shop.tick()
        shop.assert_equal()
        conn.execute("commit prepared 'later'")
    flush(shop)
    assert compared(shop) == {"public.users"}
    shop.assert_equal()


def _has_ended(session: psycopg.Connection[Any]) -> bool:
    try:
        session.execute("select 1")
    except psycopg.OperationalError:
        return True
    return False


def _answers(shop: Shop) -> bool:
    try:
        return shop.sql("select 1") == [(1,)]
    except psycopg.OperationalError:
        return False
