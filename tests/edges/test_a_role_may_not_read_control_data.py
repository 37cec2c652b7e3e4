"""The role may not call the functions that identify the server.

Group: rights
Danger: On some services, functions such as pg_control_system are not for everyone. Tables would fail at every tick, or
a restore would pass unnoticed.
Answer: pgsnow does with what it may read. What shows that rows were lost is found all the same, if need be by comparing
the newest rows.
"""

from __future__ import annotations

import pytest

from tests.edges.own_server import OwnServer, Shop, lose_and_go_on

CONTROL = "pg_control_system(), pg_control_checkpoint()"
LOG = "pg_current_wal_insert_lsn(), pg_current_wal_lsn()"


@pytest.mark.parametrize("functions", [CONTROL, f"{CONTROL}, {LOG}"], ids=["control data", "log"])
def test_a_restore_is_noticed_all_the_same(shop: Shop, own_server: OwnServer, functions: str) -> None:
    """The role syncs, a restart and a right that it gets later are no reasons for a full read, and a restore is one."""
    shop.sql(
        f"revoke execute on function {functions} from public;"
        " do 'begin create role reader login; exception when duplicate_object then end';"
        " grant pg_read_all_data, pg_read_all_stats to reader"
    )
    shop.through({"POSTGRES_DSN": shop.writer.replace("postgres@", "reader@")})
    assert {report.full_read for report in shop.tick().values()} == {None}
    lose_and_go_on(shop, own_server)
    shop.tick()
    shop.assert_equal()
    shop.sql(f"grant execute on function {functions} to public")
    assert {report.full_read for report in shop.tick().values()} == {None}
