"""The heartbeat table: freshness of the targets, for readers that only see Snowflake."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pgsnow.operations.dbt.write import dbt_sources
from pgsnow.sync.engine import Engine
from tests.world import World

FRESH = 'select TARGET_TABLE, FRESH_AT from analytics."_PGSNOW_HEARTBEAT" order by 1'


@pytest.fixture
def shop(world: World) -> World:
    """Users and notes in one target schema, which change now and then."""
    world.sql("create table notes (id int primary key, updated_at timestamptz default now(), t text)")
    world.tables.append(
        {"source": "public.notes", "target": "analytics.notes", "watermark_column": "updated_at"}
    )
    world.options["heartbeat_table"] = True
    world.sql("insert into users (id) values (1)")
    return world


def sent(world: World, engine: Engine, **options: Any) -> int:
    """Statements that one tick sends about the heartbeat table."""
    before = len(heartbeats(world))
    engine.tick(**options)
    return len(heartbeats(world)) - before


def heartbeats(world: World) -> list[str]:
    return [one for one in world.emulator.statements() if "_PGSNOW_HEARTBEAT" in one and "MERGE" in one]


def test_a_load_says_up_to_when_every_table_of_its_schema_is_equal_to_its_source(shop: World) -> None:
    """A quiet table is as fresh as a busy one; a tick without a load sends nothing, so it wakes no warehouse."""
    began = datetime.now(UTC)
    with shop.engine() as engine:
        engine.tick()
        first = dict(shop.snowflake(FRESH))
        assert set(first) == {"USERS", "NOTES"}
        assert all(abs(at - began) < timedelta(minutes=5) for at in first.values())
        assert sent(shop, engine) == 0
        shop.sql("insert into notes (id) values (1)")
        assert sent(shop, engine) == 1
        second = dict(shop.snowflake(FRESH))
        assert all(second[name] > first[name] for name in first)
    found, _ = dbt_sources(shop.config, shop.settings)
    config = found["sources"][0]["tables"][0]["config"]
    ((at,),) = shop.snowflake(config["loaded_at_query"])
    assert at == second["USERS"]


def test_between_loads_it_is_written_at_most_every_so_often_and_by_one_worker(shop: World) -> None:
    """`heartbeat_every` keeps a quiet schema fresh, for the price of waking the warehouse that often."""
    shop.options["heartbeat_every"] = "1h"
    with shop.engine() as engine:
        engine.tick()
        assert sent(shop, engine) == 0
        shop.sql("update sync_heartbeats set written_at = now() - interval '2 hours'")
        assert sent(shop, engine) == 1
        assert sent(shop, engine) == 0


def test_a_heartbeat_that_cannot_be_written_stops_nothing(shop: World) -> None:
    """A view has this name: the sync goes on, and the log says what is wrong."""
    shop.snowflake("create schema if not exists analytics")
    shop.snowflake('create view analytics."_PGSNOW_HEARTBEAT" as select 1 as a')
    with shop.engine() as engine:
        report = engine.tick()
    assert [table.status.value for table in report.tables] == ["ok", "idle"]
