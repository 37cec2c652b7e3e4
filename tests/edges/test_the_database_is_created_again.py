"""The database is dropped, and created again from a dump.

Group: history
Danger: Server, transaction ids and table names are the same, and the rows of the dump have old watermarks: rows that
changed since the dump would stay in Snowflake as they were in the dropped database.
Answer: The checkpoint names the database. In another one, everything is read again, and rows that it does not have are
deleted.
"""

from __future__ import annotations

from tests.edges.own_server import OwnServer, Shop


def test_the_target_follows_the_new_database(shop: Shop, own_server: OwnServer) -> None:
    """What was written after the dump is gone from the source, and from the target at the next tick."""
    shop.source.close()
    shop.close_engine()  # a template must have no other session
    own_server.sql("create database dump template shop")
    shop.write(10, 3)
    shop.update(1, 2, name="lost")
    shop.tick()
    own_server.sql("drop database shop with (force)")
    own_server.sql("alter database dump rename to shop")
    reports = shop.tick()
    shop.assert_equal()
    assert all("another database" in str(report.full_read) for report in reports.values())
