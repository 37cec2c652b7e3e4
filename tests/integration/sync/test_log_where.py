"""`mode: log` with `where:`, and with a generated column."""

from __future__ import annotations

import pytest

from tests.world import MemoryWorld


@pytest.mark.parametrize("deletes", ["hard", "off"])
def test_the_log_is_filtered_like_the_table(memory_world: MemoryWorld, deletes: str) -> None:
    """Rows that never met the condition do not come. One that no longer meets it leaves the target if deleted rows do;
    generated columns come as the source computes them."""
    world = memory_world
    world.sql(
        "create table goods (id int primary key, price int, total int generated always as (price * 2) stored);"
        "create publication pgsnow_test for table goods;"
        "insert into goods values (1, 5), (2, 50), (3, 60)"
    )
    world.options["log_publication"] = "pgsnow_test"
    entry = {
        "source": "public.goods",
        "target": "analytics.goods",
        "mode": "log",
        "pk": "id",
        "where": "price > 10",
    }
    world.tables = [{**entry, "deletes": deletes}]
    with world.engine() as engine:
        engine.tick(requested=True)
        world.sql("insert into goods values (4, 1), (5, 70); update goods set price = 11 where id = 1")
        world.sql("update goods set price = 2 where id = 2; delete from goods where id = 3")
        [report] = engine.tick(requested=True).tables
    world.sql(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = current_database()"
    )
    assert report.error is None
    assert "2 inserts, 2 updates, 1 delete" in report.events
    found = {row["ID"]: row["TOTAL"] for row in world.target("analytics.goods").rows}
    assert found == {1: 22, 5: 140} | ({2: 100, 3: 120} if deletes == "off" else {})
