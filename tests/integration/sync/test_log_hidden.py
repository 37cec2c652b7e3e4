"""`mode: log`: changes that the log does not have under a table's name are found all the same."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pgsnow.model.report import Status, TableReport
from tests.progress import wait_until
from tests.world import MemoryWorld

PARTS = """
create table parts (id int primary key, v text) partition by range (id);
create table one partition of parts for values from (0) to (100);
"""
VIA_ROOT = "with (publish_via_partition_root = true)"
HIDDEN = {
    "partitions publish as themselves": (PARTS + "create publication p for table parts", "parts"),
    "a partition publishes as its root": (PARTS + f"create publication p for table parts {VIA_ROOT}", "one"),
    "both are published": (PARTS + f"create publication p for table parts, one {VIA_ROOT}", "one"),
    "it is unlogged": (
        "create unlogged table quick (id int primary key, v text); create publication p for all tables",
        "quick",
    ),
}


@pytest.fixture
def world(memory_world: MemoryWorld) -> Iterator[MemoryWorld]:
    memory_world.options["log_publication"] = "p"
    yield memory_world
    memory_world.close_engine()
    memory_world.sql(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = current_database()"
    )


def entry(name: str) -> dict[str, object]:
    return {
        "source": f"public.{name}",
        "target": f"analytics.{name}",
        "mode": "log",
        "pk": "id",
        "max_delete_share": 1,
    }


def tick(world: MemoryWorld) -> TableReport:
    with world.engine() as engine:
        [report] = engine.tick(requested=True, confirm_deletes=True).tables
    assert not report.error
    return report


@pytest.mark.parametrize("why", HIDDEN)
def test_a_table_whose_changes_the_log_does_not_show_never_joins_it(world: MemoryWorld, why: str) -> None:
    """Partitions that are published under another name than the table's, and unlogged tables, of which the log has
    nothing though they are published: such a table is read in the ordinary way."""
    setup, name = HIDDEN[why]
    world.sql(setup)
    world.tables = [entry(name)]
    world.sql(f"insert into {name} select i, 'a' from generate_series(1, 9) i")
    tick(world)
    world.sql(f"insert into {name} values (50, 'x'); update {name} set v = 'y' where id = 3")
    world.sql(f"delete from {name} where id = 4")
    tick(world)
    world.assert_equal()
    assert world.sql("select checkpoint -> 'log' from sync_watermarks") == [(None,)]


def test_rows_that_an_alteration_rewrites_are_read_without_the_log(world: MemoryWorld) -> None:
    """ALTER TYPE … USING to the same type changes values without a change in the log; a table that becomes unlogged
    leaves the log."""
    world.sql("create table u (id int primary key, v int); create publication p for all tables")
    world.tables = [entry("u")]
    world.sql("insert into u select i, i from generate_series(1, 9) i")
    tick(world)
    world.sql("alter table u alter v type int using v + 1000")
    assert "read without the log: its definition was changed" in tick(world).events
    world.assert_equal()
    world.sql("insert into u values (50)")
    assert not [text for text in tick(world).events if "without the log" in text]
    world.sql("alter table u set unlogged")
    world.sql("insert into u values (51); update u set v = 7 where id = 5; delete from u where id = 6")
    assert any("unlogged" in text for text in tick(world).events)
    world.assert_equal()


def test_a_tick_without_changes_writes_the_position_in_the_log_once(world: MemoryWorld) -> None:
    """The ledger's row of the slot is written three times in an idle tick: when the slot is claimed, confirmed and
    released."""
    world.sql("create publication p for table users")
    world.options["log_publication"] = "p"
    world.tables[0] |= {"mode": "log"}
    joined = "from now on, changes are read from the log"
    wait_until(lambda: joined in tick(world).events, "the table has not joined the log")
    world.sql("create table written (at bigint)")
    world.sql(
        "create function note() returns trigger language plpgsql as"
        " 'begin insert into written values (new.confirmed); return null; end'"
    )
    world.sql("create trigger note after update on sync_slots for each row execute function note()")
    with world.engine() as engine:
        [report] = engine.tick().tables
    assert report.status is Status.IDLE
    assert world.sql("select count(*), count(distinct at) from written") == [(3, 2)]
