"""The server is restarted.

Group: history
Danger: A restart may hide that an older state was restored, but most restarts hide nothing, and reading large tables
again after each of them would be expensive.
Answer: After a restart, rows as new as the last read are read once more, whatever their transaction id. Everything is
read again only if nothing shows that the server still has what was read.
"""

from __future__ import annotations

from tests.edges.own_server import OwnServer, Shop


def test_an_ordinary_restart_stays_cheap(shop: Shop, own_server: OwnServer) -> None:
    """No full read, no event, and of an idle table at most the rows that were new at the last tick."""
    own_server.restart()
    for report in shop.tick().values():
        assert (report.ok, report.full_read, report.rows_inserted, report.events) == (True, None, 0, ())
    own_server.restart()
    shop.update(3, name="after")
    reports = shop.tick()
    assert {report.full_read for report in reports.values()} == {None}
    assert reports["public.items"].rows_read == 1
    shop.assert_equal()


def test_a_restart_of_long_ago_stays_cheap(shop: Shop, own_server: OwnServer) -> None:
    """No tick ran while the server's own traces of its restart were fresh: a row that was read is proof enough."""
    own_server.restart()
    shop.sql("select pg_switch_wal()")
    shop.sql("checkpoint")
    shop.update(3, name="after")
    assert shop.tick()["public.users"].full_read is None
    shop.assert_equal()


def test_an_older_state_that_was_restarted_once_more_is_noticed(shop: Shop, own_server: OwnServer) -> None:
    """Restored, used and restarted between two ticks: new rows under transaction ids that were read arrive."""
    shop.tables = shop.tables[:1]
    own_server.keep_copy()
    shop.write(10, 3)
    shop.tick()
    own_server.put_copy_back()
    shop.write(20, 12)
    own_server.restart()
    shop.tick()
    shop.assert_equal()
