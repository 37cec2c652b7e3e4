"""Rows of which the log does not have all columns, and the target not the others."""

from __future__ import annotations

import pytest

from tests.world import MemoryWorld


@pytest.fixture
def log_world(memory_world: MemoryWorld) -> MemoryWorld:
    """A table whose large texts are stored out of line, read from the log."""
    world = memory_world
    world.tables[0] |= {"mode": "log"}
    world.options["log_publication"] = "pgsnow_test"
    world.sql("create publication pgsnow_test for table users")
    world.sql("alter table users add column doc text, add column seen timestamptz")
    world.sql("alter table users alter column doc set storage external")
    return world


def test_a_row_whose_first_version_was_rejected_is_read_when_it_is_corrected(log_world: MemoryWorld) -> None:
    """The version that set a large text was rejected for another column. The one that corrects that column does not
    have the text, and neither has the target: the row is read from the source, so that it arrives as a whole."""
    world = log_world
    world.sql(
        "insert into users (id, name, doc, seen) select i, 'n', repeat('a', 9000), now() from generate_series(1, 3) i"
    )
    with world.engine() as engine:
        engine.tick()
        engine.tick()
        world.sql("update users set doc = repeat('b', 9000), seen = '200000-01-01' where id = 2")
        world.sql(
            "insert into users (id, name, doc, seen) values (9, 'new', repeat('c', 9000), '200000-01-01')"
        )
        report = engine.tick()
        assert [table.rows_rejected for table in report.tables] == [2]
        world.sql("update users set seen = now() where id in (2, 9)")
        report = engine.tick()
        assert any("2 rows were read from the source" in event for event in report.tables[0].events)
        world.assert_equal()
        assert world.sql("select count(*) from sync_errors where state = 'open'") == [(0,)]
        world.sql("update users set id = 7 where id = 2")
        engine.tick()
        world.assert_equal()
    world.sql("select pg_drop_replication_slot(slot) from sync_slots")
