"""`mode: log` on a partitioned table: what happens to a partition as a whole is not in the log."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.world import MemoryWorld


@pytest.fixture
def parts(memory_world: MemoryWorld) -> Iterator[MemoryWorld]:
    """A table of two partitions, that is read from the log."""
    world = memory_world
    world.sql(
        "create table parts (id int primary key, v text) partition by range (id);"
        "create table p1 partition of parts for values from (0) to (10);"
        "create table p2 partition of parts for values from (10) to (20);"
        "create table later (id int primary key, v text);"
        "create publication pgsnow_test for table parts with (publish_via_partition_root = true);"
        "insert into parts select n, 'v' from generate_series(1, 19) n; insert into later values (25, 'old')"
    )
    world.options["log_publication"] = "pgsnow_test"
    world.tables = [{"source": "public.parts", "target": "analytics.parts", "mode": "log", "pk": "id"}]
    tick(world)
    yield world
    world.close_engine()
    world.sql(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = current_database()"
    )


def tick(world: MemoryWorld) -> str:
    """Returns what the run says."""
    with world.engine() as engine:
        [report] = engine.tick(requested=True).tables
    assert report.error is None
    return "; ".join(report.events)


PARTED = (
    "read without the log: a partition was attached, detached or dropped, or its replica identity was changed"
)
WAYS = {
    "truncate p2": "deleted",
    "alter table parts attach partition later for values from (20) to (30)": PARTED,
    "alter table parts detach partition p1": PARTED,
    "drop table later": PARTED,
    "alter table p2 replica identity full": PARTED,
}


def test_what_happens_to_a_partition_is_followed(parts: MemoryWorld) -> None:
    """A partition is truncated, attached with the rows that it has, detached, or dropped, in a tick with changes of
    rows. The target follows in that tick, and the run says why."""
    for number, (statement, told) in enumerate(WAYS.items()):
        parts.sql(statement)
        parts.sql(
            f"insert into parts values ({15 + number}, 'new') on conflict (id) do update set v = 'newer'"
        )
        assert told in tick(parts), statement
        parts.assert_equal()
    parts.sql("update parts set v = 'again'")
    tick(parts)
    parts.assert_equal()
