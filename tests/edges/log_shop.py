"""A shop on a server of its own whose tables are read from the log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from pgsnow.model.report import TableReport
from tests.edges.own_server import OwnServer, Shop
from tests.progress import wait_until

PUBLICATION = "create publication shop for table users, items with (publish_via_partition_root = true)"


@contextmanager
def in_the_log(shop: Shop, server: OwnServer) -> Iterator[Shop]:
    """Both tables of the shop follow the log. At the end the server has its settings back, and no slot."""
    shop.sql(PUBLICATION)
    shop.options["log_publication"] = "shop"
    for table in shop.tables:
        table["mode"] = "log"
    try:
        ticks_until_streaming(shop)
        yield shop
    finally:
        configure(server)
        shop.close_engine()
        wait_until(
            lambda: not server.sql("select from pg_replication_slots where active"), "a slot is in use"
        )
        server.sql("select pg_drop_replication_slot(slot_name) from pg_replication_slots")


def configure(server: OwnServer, **settings: str) -> None:
    """These settings, and no others of earlier calls; takes effect at once."""
    server.sql("alter system reset all")
    for name, value in settings.items():
        server.sql(f"alter system set {name} = '{value}'")
    server.sql("select pg_reload_conf()")
    for name, value in settings.items():
        wait_until(lambda name=name, value=value: server.sql(f"show {name}") == [(value,)], name)  # type: ignore[misc]


def of_ledger(shop: Shop, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(shop.env["LEDGER_DSN"], autocommit=True) as conn:
        return conn.execute(query.encode()).fetchall()


def generation(shop: Shop) -> int:
    """Number of the slot, as it was made."""
    return int(of_ledger(shop, "select generation from sync_slots")[0][0])


def streams(shop: Shop) -> bool:
    """Both tables have a position in the present slot."""
    positions = of_ledger(shop, "select (checkpoint -> 'log' ->> 0)::int from sync_watermarks order by 1")
    return positions == [(generation(shop),)] * 2


def ticks_until_streaming(shop: Shop, **options: Any) -> None:
    """Within a few ticks, both tables follow the log again."""
    for _ in range(4):
        tick(shop, **options)
        if streams(shop):
            return
    raise AssertionError(of_ledger(shop, "select source_table, checkpoint from sync_watermarks"))


def tick(shop: Shop, **options: Any) -> dict[str, TableReport]:
    """The reports by table; no run fails."""
    with shop.engine() as engine:
        report = engine.tick(**options)
    assert not report.failures, [table.error for table in report.failures]
    return {table.table: table for table in report.tables}


def assert_all_arrives(shop: Shop, number: int) -> None:
    """Changes of each kind arrive from the log."""
    shop.write(1000 + number)
    shop.update(1, name=f"changed {number}")
    shop.sql(
        f"update items set id = {2000 + number} where id = {1000 + number}; delete from users where id = 2"
    )
    shop.sql("insert into users (id, name) values (2, 'again')")
    reports = tick(shop)
    assert not [event for report in reports.values() for event in report.events if "the log" in event]
    shop.assert_equal()
