"""The source receives its rows from another Postgres by logical replication.

Group: history
Danger: A subscription applies transactions later than they were committed, with the timestamps of the publisher: after
a network failure, hours later. A read by timestamps has passed them by then, and they would be missing until an audit.
Answer: Tables of a subscription are read by transaction id, which the subscriber gives out itself, or with `mode: log`
from its own log. `pgsnow check` says so, because each tick then scans such a table. Reading from the publisher is
cheaper. Other tools that copy rows (triggers, AWS DMS) leave no trace in the catalog: give their tables `mode: xmin`.
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from pgsnow.operations.check.tables import check_table
from tests.edges.own_server import OwnServer, Shop
from tests.progress import wait_until
from tests.world import USERS


@pytest.fixture
def subscriber(shop: Shop, own_server: OwnServer) -> Iterator[Shop]:
    """The shop's users are those of a database of another application. Its subscription is disabled, as if the network
    were down."""
    shop.sql("truncate users")
    own_server.sql("create database publisher")
    publisher = own_server.server.dsn("publisher")
    with psycopg.connect(publisher, autocommit=True) as there:
        there.execute(USERS.encode())
        there.execute("create publication users for table users")
        there.execute("select pg_create_logical_replication_slot('users', 'pgoutput')")
    shop.sql(f"create subscription users connection '{publisher}' publication users"
             " with (slot_name = users, create_slot = false, copy_data = false, enabled = false)")  # fmt: skip
    yield shop
    shop.sql("alter subscription users disable; alter subscription users set (slot_name = none)")
    shop.sql("drop subscription users")
    own_server.sql("drop database publisher with (force)")


def test_rows_that_arrive_late_are_read(subscriber: Shop, own_server: OwnServer) -> None:
    """They were committed two hours ago; the subscriber did not have them, and ticks ran."""
    shop = subscriber
    with psycopg.connect(own_server.server.dsn("publisher"), autocommit=True) as publisher:
        publisher.execute("set synchronous_commit = on")  # what is not on the disk is not sent
        publisher.execute(
            "insert into users (id, name, updated_at)"
            " select g, 'late ' || g, now() - interval '2 hours' from generate_series(100, 120) g"
        )
        shop.write(10, 3)
        shop.tick()
        shop.write(20, 3)
        shop.tick()
        shop.sql("alter subscription users enable")
        wait_until(lambda: shop.sql("select 1 from users where id = 120"), "the subscriber has the rows")
        publisher.execute("delete from users where id = 101")
        wait_until(lambda: not shop.sql("select 1 from users where id = 101"), "and lost the deleted one")
    shop.tick()
    shop.assert_equal()


def test_check_says_why_each_tick_scans_the_table(subscriber: Shop) -> None:
    """With what to do instead."""
    with psycopg.connect(subscriber.writer, autocommit=True) as conn:
        results, _ = check_table(conn, subscriber.config.tables[0], subscriber.settings.snowflake)
    (found,) = [result for result in results if "subscription" in result.detail]
    assert "mode: log" in (found.fix or "")
