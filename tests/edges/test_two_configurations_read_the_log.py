"""Two configurations with one ledger read the log.

Group: ledger
Danger: Slot and publication are named after the ledger, so both have the same. They would take the log from each
other, take each other's tables out of the publication, and read every table without the log in each tick.
Answer: The slot knows for which tables it was read. A configuration that has none of them is refused by name, in
`check`, `plan`, `log setup`, `log drop` and in each tick, where its tables are read without the log meanwhile. With a
`log_slot` and a `log_publication` of its own it works.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from pgsnow.ledger.ledger import Ledger
from pgsnow.model.errors import ConfigError
from pgsnow.model.report import TableReport
from pgsnow.operations.check.log import check_log
from pgsnow.operations.log.setup import set_up, tear_down
from pgsnow.postgres.connection import Source
from tests.world import MemoryWorld

USERS: dict[str, Any] = {"source": "public.users", "target": "analytics.users", "mode": "log", "pk": "id"}
NOTES: dict[str, Any] = {"source": "public.notes", "target": "analytics.notes", "mode": "log", "pk": "id"}


@pytest.fixture
def world(memory_world: MemoryWorld) -> Iterator[MemoryWorld]:
    memory_world.sql("create table notes (id int primary key, text text); insert into notes values (1, 'a')")
    memory_world.sql("insert into users (id, name) values (1, 'a')")
    yield memory_world
    memory_world.close_engine()
    memory_world.sql(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = current_database()"
    )


def tick(world: MemoryWorld) -> TableReport:
    with world.engine() as engine:
        [report] = engine.tick().tables
    assert report.error is None
    world.assert_equal()
    return report


def streams(world: MemoryWorld) -> list[str]:
    return [
        name for (name,) in world.sql("select source_table from sync_watermarks where checkpoint ? 'log'")
    ]


def follow(world: MemoryWorld, table: dict[str, Any]) -> None:
    """This table follows the log."""
    world.tables = [table]
    set_up(world.config, world.settings, holder="me")
    for _ in range(4):
        tick(world)
        if table["source"] in streams(world):
            break
    world.sql(f"delete from {table['source']}")
    assert any("delete" in event for event in tick(world).events)


def test_the_second_one_is_refused_until_it_has_names_of_its_own(world: MemoryWorld) -> None:
    """What the first one has stays as it is, whatever the second one tries. Afterwards a table moves from the one to
    the other, and nothing is lost between the two slots."""
    follow(world, USERS)
    world.tables = [NOTES]
    why = r"another configuration with the same ledger reads the replication slot \w+, for public.users"
    for command in (set_up, tear_down):
        with pytest.raises(ConfigError, match=why):
            command(world.config, world.settings, holder="me")
    with (
        closing(Ledger(world.settings.ledger)) as ledger,
        closing(Source(world.settings.source)) as source,
        source.connect() as conn,
    ):
        found = {
            result.detail.partition(":")[2]: result.fix for result in check_log(world.config, ledger, conn)
        }
    assert any("another configuration" in detail and "`log_slot`" in fix for detail, fix in found.items()), (
        found
    )
    world.sql("insert into notes values (2, 'b')")
    tick(world)
    assert streams(world) == ["public.users"]
    assert world.sql("select joins, trouble from sync_slots") == [({}, None)]
    world.tables = [USERS]
    world.sql("insert into users (id, name) values (3, 'c'); delete from users")
    assert not [event for event in tick(world).events if "without the log" in event]
    world.options = {"log_slot": "second_slot", "log_publication": "second"}
    follow(world, NOTES)
    own, world.options, world.tables = world.options, {}, [USERS]
    world.sql("insert into users (id, name) values (5, 'from the first slot')")
    tick(world)
    world.options = own
    world.sql("insert into users (id, name) values (4, 'while no publication that is read has the table')")
    world.tables = [NOTES, USERS]
    set_up(world.config, world.settings, holder="me")
    with world.engine() as engine:
        assert not engine.tick().failures
    world.assert_equal()


def test_an_edited_configuration_is_the_same_one(world: MemoryWorld) -> None:
    """A table is added, and the first one leaves; then a slot that nothing has read for a while may be taken over."""
    follow(world, USERS)
    world.tables = [USERS, NOTES]
    set_up(world.config, world.settings, holder="me")
    world.tables = [NOTES, USERS | {"enabled": False}]
    tick(world)
    world.sql("update sync_slots set read_at = now() - interval '1 h'")
    follow(world, NOTES)
