"""The server is restored to an older state.

Group: history
Danger: The server gives transaction ids and WAL positions again that were read already. New rows would be taken for
rows that were read, and rows and updates that went with the newer state would stay in Snowflake for ever.
Answer: pgsnow remembers where in the server's history it has read. It reads everything again, deletes the rows that
the source no longer has, and says so. If rows had to be kept, `pgsnow status` shows the table as unverified until
`pgsnow verify` has found no difference.
"""

from __future__ import annotations

from pgsnow.model.metadata_columns import FENCE_COLUMN
from pgsnow.operations.check.ledger import check_ledger
from pgsnow.operations.check.result import Level
from pgsnow.testing.faults import AtPhase
from tests.edges.own_server import OnOwnServer, OwnServer, Shop, lose_and_go_on

A_MINUTE = 60_000_000
"""In fences, which are microseconds unless two runs would have the same one."""


def test_a_cold_copy_is_put_back(shop: Shop, other_shop: Shop, own_server: OwnServer) -> None:
    """New rows under transaction ids that were read arrive, and what the source lost is gone from the target. A ledger
    that was put back with the source fits it: there, only the target shows that it was later. mode: append deletes
    nothing, so its table is unverified."""
    shop.sql("create table flags (name text, v text); create table log (line text)")
    shop.sql("insert into flags values ('a', 'kept'); insert into log values ('kept')")
    shop.tables += [
        {"source": "public.flags", "target": "analytics.flags", "mode": "full"},
        {"source": "public.log", "target": "analytics.log", "mode": "append"},
    ]
    shop.tick()
    lose_and_go_on(own_server, shop, other_shop)
    for report in shop.tick().values():
        assert "lost transactions" in str(report.full_read)
        assert any("everything is read again" in event for event in report.events), report.events
    shop.assert_equal()
    for report in other_shop.tick().values():
        # By the newest rows alone, or by all if the lost runs were within a second, so that their fences came again.
        assert [e for e in report.events if "and 3 were deleted" in e or "deleted 3 rows" in e], report
    other_shop.assert_equal()
    shop.update(20, name="later")
    assert {report.full_read for report in shop.tick().values()} == {None}
    shop.assert_equal()
    states = {table: state for table, (state, _) in shop.states().items()}
    assert states.pop("public.log") == "unverified"
    assert "unverified" not in states.values()


def test_nothing_is_left_that_shows_where_the_server_resumed(shop: Shop, own_server: OwnServer) -> None:
    """A later checkpoint of the server hides where it resumed: then the rows that were read show that they are lost.
    Those that the application has written again are kept."""
    own_server.keep_copy()
    shop.write(10, 3)
    shop.tick()
    own_server.put_copy_back()
    shop.sql("insert into users (id) values (11)")
    shop.write(20, 12)
    shop.sql("select pg_switch_wal()")
    shop.sql("checkpoint")
    reports = shop.tick()
    shop.assert_equal()
    assert "nothing shows that it still has" in str(reports["public.items"].full_read)
    assert reports["public.users"].full_read is None
    assert any("2 were deleted" in event for event in reports["public.users"].events)


def test_a_standby_that_lagged_is_promoted(shop: Shop, own_server: OwnServer) -> None:
    """A failover to a standby that had not received everything: what was lost with the primary is deleted."""
    lose_and_go_on(own_server, shop, as_standby=True)
    reports = shop.tick()
    shop.assert_equal()
    assert all("timeline changed" in str(report.full_read) for report in reports.values())


def test_fences_of_the_lost_ledger_are_not_used_again(other_shop: Shop, own_server: OwnServer) -> None:
    """The clock of the restored server is slow: a run that could not replace the lost rows stops, the next one can."""
    shop = other_shop
    own_server.keep_copy()
    shop.write(10, 3)
    shop.tick()
    for name in ("users", "items"):
        rows = shop.target(f"analytics.{name}").rows
        rows[:] = [{**row, FENCE_COLUMN: row[FENCE_COLUMN] + A_MINUTE} for row in rows]
    own_server.put_copy_back()
    with shop.engine() as engine:
        first, second = engine.tick(), engine.tick()
    assert [table.error_type for table in first.tables] == ["LedgerOutdated", "LedgerOutdated"]
    assert not second.failures
    shop.assert_equal()


def test_a_target_that_is_dropped_during_the_repair_is_filled_again(
    other_shop: Shop, own_server: OwnServer
) -> None:
    """Not only with the rows that the repair reads by their keys."""
    shop = other_shop
    shop.tables = shop.tables[:1]
    lose_and_go_on(own_server, shop)
    shop.tick_with(AtPhase("page", shop.drop))
    shop.assert_equal()
    assert shop.states()["public.users"][0] != "unverified"


def test_what_cannot_be_repaired_stays_reported_until_a_verify_has_passed(
    snowflake_shop: OnOwnServer, own_server: OwnServer
) -> None:
    """A row is rejected, so nothing may be deleted: each run and the status say that there may be rows too many."""
    shop = snowflake_shop
    shop.tables = shop.tables[:1]
    shop.sql("update users set balance = 'NaN', updated_at = now() where id = 2")
    shop.tick()
    own_server.keep_copy()
    shop.write(10, 3)
    shop.sql("update users set balance = 1, updated_at = now() where id = 2")
    shop.tick()
    own_server.put_copy_back()
    shop.tick()
    told = shop.tick()["public.users"]
    assert any("until pgsnow verify passes" in event for event in told.events)
    state, why = shop.states()["public.users"]
    assert (state, "later run than the ledger knows" in why) == ("unverified", True)
    assert [why for why in checked(shop) if "until pgsnow verify passes" in why]
    assert [verdict.equal for verdict in shop.verdicts()] == [False]
    assert shop.states()["public.users"][0] == "different"  # known now, and not only feared
    shop.snowflake("delete from analytics.users where id in (2, 10, 11, 12)")
    assert [verdict.equal for verdict in shop.verdicts()] == [True]
    assert shop.states()["public.users"][0] != "unverified"
    assert shop.tick()["public.users"].events == ()
    assert not [why for why in checked(shop) if "until pgsnow verify passes" in why]


def checked(shop: OnOwnServer) -> list[str]:
    """What pgsnow check warns of in the ledger."""
    return [
        result.detail
        for result in check_ledger(shop.settings.ledger, "public")
        if result.level is Level.WARNING
    ]
