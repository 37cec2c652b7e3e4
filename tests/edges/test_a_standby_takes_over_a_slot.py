"""A standby takes over from the server whose log is read.

Group: history
Danger: The standby has no replication slot, or one that is behind, or it lacks log that was read already. Changes
would be missing, or rows that were lost with the primary would stay; other tools copy every table again.
Answer: pgsnow asks the new primary where it left the timeline of the old one. If that is behind everything that was
read, tables are read on from where they were, from the slot if the standby has it (`failover`), else once without the
log. If the standby lacked something, everything is read again.
"""

from __future__ import annotations

from typing import Any

import psycopg

from tests.edges.own_server import OwnServer, Shop


def of_ledger(shop: Shop, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(shop.env["LEDGER_DSN"], autocommit=True) as conn:
        return conn.execute(query.encode()).fetchall()


def generation(shop: Shop) -> int:
    return int(of_ledger(shop, "select generation from sync_slots")[0][0])


def ticks_until_streaming(shop: Shop) -> None:
    """Within a few ticks, both tables follow the log again."""
    for _ in range(4):
        shop.tick()
        positions = of_ledger(shop, "select (checkpoint -> 'log' ->> 0)::int from sync_watermarks order by 1")
        if positions == [(generation(shop),)] * 2:
            return
    raise AssertionError(positions)


def test_tables_are_read_on_where_the_standby_had_everything(shop: Shop, own_server: OwnServer) -> None:
    """With the slot and without it no table is read as a whole, and nothing is missing or left over; a standby that
    lacked what was read has all tables read again."""
    shop.sql("create publication pgsnow_shop for table users, items")
    shop.options["log_publication"] = "pgsnow_shop"
    for table in shop.tables:
        table["mode"] = "log"
    ticks_until_streaming(shop)
    made = generation(shop)
    for keeps_slot in (True, False):
        own_server.keep_copy()
        own_server.put_copy_back(as_standby=True)
        if not keeps_slot:
            shop.sql("select pg_drop_replication_slot(slot_name) from pg_replication_slots")
        shop.write(30 if keeps_slot else 60, 3)
        shop.update(1, 2, name=f"after {keeps_slot}")
        shop.sql(f"delete from items where id = {3 if keeps_slot else 4}")
        assert {report.full_read for report in shop.tick().values()} == {None}
        shop.assert_equal()
        ticks_until_streaming(shop)
        assert generation(shop) == made + (not keeps_slot)
        shop.update(5, name=f"from the log {keeps_slot}")
        shop.tick()
        shop.assert_equal()
    own_server.keep_copy()
    shop.write(90, 3)
    shop.tick()
    own_server.put_copy_back(as_standby=True)
    shop.write(100, 2)
    assert all("timeline changed" in str(report.full_read) for report in shop.tick().values())
    shop.assert_equal()
    shop.sql("select pg_drop_replication_slot(slot_name) from pg_replication_slots")
