"""A commit waits for a standby while tables are read from the log.

Group: history
Danger: With synchronous replication a commit is in the log long before other sessions see its rows: for as long as the
standby does not answer. A search for deleted rows in that time takes the new row for a deleted one, and a table that is
read as a whole has the old rows. If it then follows the log from a later position, the change is lost for ever.
Answer: pgsnow remembers the transactions that the log has shown and a snapshot does not. A table that is read otherwise
follows the log again only when all of them are visible.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from tests.edges.log_shop import (
    assert_all_arrives,
    configure,
    in_the_log,
    streams,
    tick,
    ticks_until_streaming,
)
from tests.edges.own_server import OwnServer, Shop
from tests.progress import wait_until

CHANGES = (
    "insert into items values (900, 'waits')",
    "delete from items where id = 3",
    "update items set name = 'waits' where id = 4",
    "update items set id = 905 where id = 5",
)


@contextmanager
def waiting(shop: Shop, server: OwnServer, *statements: str) -> Iterator[None]:
    """Each of these statements is committed in the log, and waits for a standby that is not there."""

    def commit(statement: str) -> None:
        with psycopg.connect(shop.writer, autocommit=True) as conn:
            conn.execute("set synchronous_commit = on")
            conn.execute(statement.encode())

    configure(server, synchronous_standby_names="nobody")
    sessions = [threading.Thread(target=commit, args=(statement,)) for statement in statements]
    for session in sessions:
        session.start()
    try:
        wait = "select count(*) from pg_stat_activity where wait_event = 'SyncRep'"
        wait_until(lambda: server.sql(wait) == [(len(statements),)], "the commits do not wait")
        yield
    finally:
        configure(server)
        for session in sessions:
            session.join()


def test_what_is_committed_and_not_visible_yet_is_not_lost(shop: Shop, own_server: OwnServer) -> None:
    """The changes arrive from the log while they wait. Then deleted rows are searched for, and everything is read as it
    is visible: the tables do not follow the log before the wait is over, and nothing is missing, stale or left over
    afterwards."""
    with in_the_log(shop, own_server):
        with waiting(shop, own_server, *CHANGES):
            tick(shop)
            kept = {row["ID"] for row in shop.target("analytics.items").rows}
            assert {900, 905} <= kept
            assert not {3, 5} & kept
            for options in ({"confirm_deletes": True, "requested": True}, {"full_refresh": True}, {}):
                tick(shop, **options)
                assert not streams(shop)
            shop.assert_equal()
        ticks_until_streaming(shop)
        shop.assert_equal()
        assert_all_arrives(shop, 1)
