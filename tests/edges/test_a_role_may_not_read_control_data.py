"""The role may not call the functions that identify the server.

Group: rights
Danger: On some services, functions such as pg_control_system are not for everyone. Tables would fail at every tick, or
a restore would pass unnoticed.
Answer: pgsnow does with what it may read. What shows that rows were lost is found all the same, if need be by comparing
the newest rows.
"""

from __future__ import annotations

from tests.edges.own_server import OwnServer, Shop, lose_and_go_on

CONTROL = "pg_control_system(), pg_control_checkpoint()"
LOG = "pg_current_wal_insert_lsn(), pg_current_wal_lsn()"


def test_a_restore_is_noticed_all_the_same(shop: Shop, other_shop: Shop, own_server: OwnServer) -> None:
    """The role syncs, a right that it gets later is no reason for a full read, and a restore is one."""
    for some, functions in ((shop, CONTROL), (other_shop, f"{CONTROL}, {LOG}")):
        some.sql(
            f"revoke execute on function {functions} from public;"
            " do 'begin create role reader login; exception when duplicate_object then end';"
            " grant pg_read_all_data, pg_read_all_stats to reader"
        )
        some.through({"LEDGER_DSN": some.env.get("LEDGER_DSN", some.writer)})
        some.through({"POSTGRES_DSN": some.writer.replace("postgres@", "reader@")})
        assert {report.full_read for report in some.tick().values()} == {None}
    lose_and_go_on(own_server, shop, other_shop)
    for some in (shop, other_shop):
        some.tick()
        some.assert_equal()
        some.sql(f"grant execute on function {CONTROL}, {LOG} to public")
        assert {report.full_read for report in some.tick().values()} == {None}
