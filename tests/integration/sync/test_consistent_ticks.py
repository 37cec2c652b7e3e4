"""With `consistency: tick`, the changes of all tables of a tick are loaded together, with a row in PGSNOW_TICKS."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from pgsnow.model.errors import TargetQueryFailed
from pgsnow.model.log.consistent_tick import ConsistentTick
from pgsnow.model.report import TableReport
from tests.world import MemoryWorld


@pytest.fixture
def shop(memory_world: MemoryWorld) -> Iterator[MemoryWorld]:
    """Two tables whose rows belong together; both are read from the log."""
    world = memory_world
    world.sql(
        "create table orders (id int primary key, total int); create table lines (id int primary key, amount int);"
        "insert into orders values (1, 10); insert into lines values (1, 4), (2, 6);"
        "create publication pgsnow_test for table orders, lines"
    )
    world.options |= {"log_publication": "pgsnow_test", "consistency": "tick"}
    world.tables = [
        {"source": f"public.{name}", "target": f"analytics.{name}", "mode": "log", "pk": "id"}
        for name in ("orders", "lines")
    ]
    tick(world)
    assert not world.warehouse.ticks  # everything was read for the first time
    yield world
    world.close_engine()
    world.sql(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = current_database()"
    )


def tick(world: MemoryWorld) -> dict[str, TableReport]:
    with world.engine() as engine:
        return {report.table: report for report in engine.tick(requested=True).tables}


def buy(world: MemoryWorld, number: int) -> None:
    """An order with its two lines, in one transaction."""
    world.sql(
        f"insert into orders values ({number}, 10);"
        f"insert into lines values ({number * 2 - 1}, 4), ({number * 2}, 6)"
    )


def newest(world: MemoryWorld) -> tuple[ConsistentTick, list[str], Mapping[str, str]]:
    row, tables = list(world.warehouse.ticks.values())[-1]
    return row, tables, row.left_out


def test_all_tables_of_a_tick_are_loaded_together(shop: MemoryWorld) -> None:
    """The row has the position up to which the log was read, and names no table that was left out. Without changes
    there is no row."""
    world = shop
    buy(world, 2)
    reports = tick(world)
    assert [report.error for report in reports.values()] == [None, None]
    row, tables, left_out = newest(world)
    assert (tables, left_out, row.together) == (["public.lines", "public.orders"], {}, True)
    [(confirmed,)] = world.sql("select confirmed from sync_slots")
    assert row.lsn == confirmed
    assert row.source_time is not None
    world.assert_equal()
    tick(world)
    assert len(world.warehouse.ticks) == 1
    world.sql("delete from lines where id = 1")
    tick(world)
    assert newest(world)[1:] == (["public.lines"], {})
    world.assert_equal()


def test_a_table_that_is_read_without_the_log_is_named(shop: MemoryWorld) -> None:
    """The others are loaded with a row that names it. If no other table has changes, a row says so before it is loaded.
    After it has joined the log again, it is loaded with the others."""
    world = shop
    for change in (True, False):
        world.sql("alter publication pgsnow_test drop table lines")
        world.sql("alter publication pgsnow_test add table lines")
        if change:
            buy(world, 3)
        tick(world)
        _, tables, left_out = newest(world)
        assert tables == (["public.orders"] if change else [])
        assert [*left_out] == ["public.lines"]
        world.assert_equal()
    buy(world, 4)
    tick(world)
    assert newest(world)[1:] == (["public.lines", "public.orders"], {})
    world.assert_equal()


@pytest.mark.parametrize("failing", [["public.orders"], ["public.orders", "public.lines"]])
def test_a_table_that_cannot_be_loaded_is_left_out_and_loaded_on_its_own(
    shop: MemoryWorld, failing: list[str]
) -> None:
    """The others, if there are any, are loaded without it, and the row says why. The next tick loads all of them
    together."""
    world = shop
    buy(world, 2)
    for _ in failing:
        world.warehouse.fail("merge", TargetQueryFailed("the warehouse refuses this table"))
    reports = tick(world)
    assert [report.error for report in reports.values()] == [None, None]
    loaded = sorted({"public.orders", "public.lines"} - {*failing})
    assert newest(world)[1:] == (loaded, dict.fromkeys(failing, "the warehouse refuses this table"))
    world.assert_equal()
    buy(world, 3)
    tick(world)
    assert newest(world)[1:] == (["public.lines", "public.orders"], {})
    world.assert_equal()


def test_a_tick_with_too_many_rows_loads_its_tables_one_by_one(shop: MemoryWorld) -> None:
    """The row says that the tables did not change together."""
    world = shop
    world.options["max_rows_per_tick"] = 2
    world.close_engine()
    buy(world, 2)
    tick(world)
    assert not newest(world)[0].together
    world.assert_equal()
