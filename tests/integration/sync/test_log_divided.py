"""Tables whose rows are stored in others: `mode: log` reads them from the log, or says that it cannot."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.sync.test_log_gaps import synced
from tests.world import World


@pytest.fixture
def log_world(world: World) -> Iterator[World]:
    world.sql(
        "create table parts (id int, region int, v text, primary key (id, region)) partition by list (region);"
        "create table parts_0 partition of parts for values in (0)"
    )
    world.options["log_publication"] = "pgsnow_test"
    world.tables = [
        {"source": "public.parts", "target": "analytics.parts", "mode": "log", "pk": ["id", "region"]},
    ]
    yield world
    world.close_engine()
    world.sql(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = current_database()"
    )


def test_rows_that_the_log_has_under_other_names_are_not_missed(log_world: World) -> None:
    """A partitioned table in a publication that names its partitions is read as without a log in each tick. Partitions
    are read from the log once the publication has them as their root, also those that are attached with rows,
    truncated or detached."""
    world = log_world
    world.sql("create publication pgsnow_test for table parts")
    for number in range(3):
        world.sql(f"insert into parts values ({number}, 0, 'x')")
        synced(world, streams=False)
    assert world.sql("select checkpoint -> 'log' from sync_watermarks") == [(None,)]
    world.sql("alter publication pgsnow_test set (publish_via_partition_root = true)")
    synced(world, streams=False)
    world.sql("insert into parts values (10, 0, 'from the log')")
    synced(world)
    world.sql(
        "create table parts_1 (like parts including all); insert into parts_1 values (20, 1, 'attached');"
        "alter table parts attach partition parts_1 for values in (1)"
    )
    synced(world, streams=False)
    world.sql("insert into parts values (21, 1, 'x'); delete from parts where id = 20")
    synced(world, streams=False)
    world.sql("truncate parts_1")
    synced(world, streams=False, search=True)
    world.sql("insert into parts values (22, 1, 'x')")
    synced(world, streams=False, search=True)
    world.sql("alter table parts detach partition parts_1")
    synced(world, streams=False, search=True)
