"""`consistency: tick`: the changes of all tables of a tick become visible in one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from pgsnow.model.errors import TargetQueryFailed
from pgsnow.model.log.consistent_tick import ConsistentTick
from pgsnow.model.report import TableReport
from pgsnow.testing.faults import RaiseAt
from tests.world import MemoryWorld


@pytest.fixture(params=["memory_world", "world"], ids=["memory", "snowflake"])
def orders(request: pytest.FixtureRequest) -> Any:
    """Two tables that are read from the log; every user has one row more in `items`."""
    world: Any = request.getfixturevalue(request.param)
    world.sql("create table items (id bigint primary key, user_id bigint, name text)")
    world.sql("create publication pgsnow_test for table users, items")
    world.options |= {"log_publication": "pgsnow_test", "consistency": "tick"}
    world.tables[0] |= {"mode": "log"}
    world.tables.append({"source": "public.items", "pk": "id", "target": "analytics.items", "mode": "log"})
    yield world
    world.sql("select pg_drop_replication_slot(slot) from sync_slots")


def add(world: Any, at: int) -> None:
    world.sql(
        f"with u as (insert into users (id, name) values ({at}, 'n') returning id)"
        " insert into items select id, id, 'i' from u"
    )


def items(world: Any) -> int:
    if isinstance(world, MemoryWorld):
        return len(world.target("analytics.items").rows)
    return int(world.snowflake("SELECT COUNT(*) FROM ANALYTICS.ITEMS")[0][0])


def test_all_tables_change_in_one_transaction(orders: Any) -> None:
    """After a tick that read both tables from the log, they have the state of one position in it, and the tick's row
    says so; idle ticks write none. If the worker is killed in the middle of the transaction, nothing of it is visible,
    and the next tick loads what was staged."""
    world = orders
    with world.engine() as engine:
        for at in range(1, 4):
            add(world, at)
            assert not engine.tick().failures
        add(world, 10)
        world.sql("delete from items where id = 1")
        assert not engine.tick().failures
        engine.tick()
    world.assert_equal()
    assert items(world) == 3
    if isinstance(world, MemoryWorld):
        row, tables = list(world.warehouse.ticks.values())[-1]
        assert (row.together, sorted(tables), dict(row.left_out)) == (
            True,
            ["public.items", "public.users"],
            {},
        )
        world.warehouse.fail("merge", TargetQueryFailed("refused"), nth=2)
        with world.engine() as engine:
            add(world, 11)
            assert not engine.tick().failures
        world.assert_equal()
        assert len(list(world.warehouse.ticks.values())[-1][0].left_out) == 1
    else:
        sent = world.snowflake(
            "SELECT CONSISTENT, ARRAY_SIZE(TABLES) FROM ANALYTICS.PGSNOW_TICKS ORDER BY LSN_BYTES"
        )
        assert sent[-1] == (True, 2)
    before = items(world)
    add(world, 20)
    with pytest.raises(KeyboardInterrupt), world.engine(RaiseAt("merged", KeyboardInterrupt())) as engine:
        engine.tick()
    assert items(world) == before
    with world.engine() as engine:
        assert not engine.tick().failures
    world.assert_equal()
    assert items(world) == before + 1


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
