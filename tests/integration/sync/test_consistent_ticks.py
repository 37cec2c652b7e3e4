"""`consistency: tick`: the changes of all tables of a tick become visible in one transaction."""

from __future__ import annotations

from typing import Any

import pytest

from pgsnow.model.errors import TargetQueryFailed
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
