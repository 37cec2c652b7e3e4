"""The server is restored to an older state.

Group: history
Danger: The server gives transaction ids and WAL positions again that were read already. New rows would be taken for
rows that were read, and rows and updates that went with the newer state would stay in Snowflake for ever.
Answer: pgsnow remembers where in the server's history it has read. It reads everything again, deletes the rows that
the source no longer has, and says so. If rows had to be kept, `pgsnow status` shows the table as unverified until
`pgsnow verify` has found no difference.
"""

from __future__ import annotations

from tests.edges.own_server import OnOwnServer, OwnServer, Shop, lose_and_go_on

AGAIN = "everything is read again"


def test_a_cold_copy_is_put_back(shop: Shop, own_server: OwnServer) -> None:
    """New rows under transaction ids that were read arrive, and what the source lost is gone from the target."""
    lose_and_go_on(shop, own_server)
    reports = shop.tick()
    shop.assert_equal()
    for report in reports.values():
        assert "lost transactions" in str(report.full_read)
        assert any(AGAIN in event for event in report.events), report.events
        assert "deleted 3 rows that are gone from the source" in report.events
    shop.update(20, name="later")
    assert {report.full_read for report in shop.tick().values()} == {None}
    shop.assert_equal()
    assert {state for state, _ in shop.states().values()} == {"synced"}


def test_tables_that_are_read_as_a_whole(shop: Shop, own_server: OwnServer) -> None:
    """mode: full follows the source; mode: append deletes nothing, so it is unverified."""
    shop.sql("create table flags (name text, v text); create table log (line text)")
    shop.tables = [
        {"source": "public.flags", "target": "analytics.flags", "mode": "full"},
        {"source": "public.log", "target": "analytics.log", "mode": "append"},
    ]
    shop.sql("insert into flags values ('a', 'kept')")
    shop.tick()
    own_server.keep_copy()
    shop.sql("update flags set v = 'lost'; insert into log values ('lost')")
    shop.tick()
    own_server.put_copy_back()
    shop.sql("insert into log values ('new')")
    shop.tick()
    assert [row["V"] for row in shop.target("analytics.flags").rows] == ["kept"]
    assert {row["LINE"] for row in shop.target("analytics.log").rows} == {"lost", "new"}
    states = shop.states()
    assert (states["public.flags"][0], states["public.log"][0]) == ("synced", "unverified")


def test_the_ledger_is_restored_with_the_source(shop_with_ledger: Shop, own_server: OwnServer) -> None:
    """A ledger in the source's database fits it after a restore; only the target shows that there were later runs."""
    lose_and_go_on(shop_with_ledger, own_server)
    reports = shop_with_ledger.tick()
    shop_with_ledger.assert_equal()
    assert all(any(AGAIN in event for event in report.events) for report in reports.values())


def test_nothing_is_left_that_shows_where_the_server_resumed(shop: Shop, own_server: OwnServer) -> None:
    """A later checkpoint of the server hides where it resumed: then the rows that were read show that they are lost."""
    lose_and_go_on(shop, own_server)
    shop.sql("select pg_switch_wal()")
    shop.sql("checkpoint")
    reports = shop.tick()
    shop.assert_equal()
    assert "nothing shows that it still has" in str(reports["public.items"].full_read)
    assert reports["public.users"].full_read is None
    assert any("deleted 3 rows" in event for event in reports["public.users"].events)


def test_a_standby_that_lagged_is_promoted(shop: Shop, own_server: OwnServer) -> None:
    """A failover to a standby that had not received everything: what was lost with the primary is deleted."""
    lose_and_go_on(shop, own_server, as_standby=True)
    reports = shop.tick()
    shop.assert_equal()
    assert all("timeline changed" in str(report.full_read) for report in reports.values())


def test_what_cannot_be_repaired_stays_reported_until_a_verify_has_passed(
    snowflake_shop: OnOwnServer, own_server: OwnServer
) -> None:
    """A row is rejected, so nothing may be deleted: each run and the status say that there may be rows too many."""
    shop = snowflake_shop
    shop.tables = shop.tables[:1]
    shop.sql("insert into users (id, balance) values (7, 'NaN')")
    shop.tick()
    lose_and_go_on(shop, own_server)
    shop.tick()
    told = shop.tick()["public.users"]
    assert any("until pgsnow verify passes" in event for event in told.events)
    state, why = shop.states()["public.users"]
    assert (state, "it was restored to an older state" in why) == ("unverified", True)
    assert [verdict.equal for verdict in shop.verdicts()] == [False]
    assert shop.states()["public.users"][0] == "unverified"
    shop.snowflake("delete from analytics.users where id in (10, 11, 12)")
    assert [verdict.equal for verdict in shop.verdicts()] == [True]
    assert shop.states()["public.users"][0] != "unverified"
    assert shop.tick()["public.users"].events == ()
