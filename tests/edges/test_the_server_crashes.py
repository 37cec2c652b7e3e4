"""The server crashes and loses transactions that were read.

Group: history
Danger: With synchronous_commit off, or on a disk that lies, a crash loses transactions that pgsnow has already loaded,
and their ids are given to others.
Answer: The end of the write-ahead log lies before what was read: everything is read again, and rows that the source
lost are deleted. After a crash that lost nothing that was read, only the newest rows are read again.
"""

from __future__ import annotations

from tests.edges.own_server import OwnServer, Shop


def test_what_was_read_and_then_lost_is_deleted(shop: Shop, own_server: OwnServer) -> None:
    """The last commits before a tick never reached the disk; later ones get their ids."""
    shop.sql("checkpoint")
    shop.sql(
        "insert into users (id) select generate_series(100, 109); insert into items select generate_series(100, 109)"
    )
    shop.tick()
    own_server.crash()
    assert shop.sql("select count(*) from users where id >= 100") == [(0,)], (
        "the server lost nothing: no test"
    )
    shop.write(20, 3)
    shop.tick()
    shop.assert_equal()


def test_a_crash_that_loses_nothing_is_cheap(shop: Shop, own_server: OwnServer) -> None:
    """What was read had reached the disk: no full read, and nothing is reported."""
    shop.sql("insert into users (id) values (50)")
    shop.tick()
    shop.sql("checkpoint")
    own_server.crash()
    shop.update(50, name="after")
    reports = shop.tick()
    shop.assert_equal()
    assert {report.full_read for report in reports.values()} == {None}
