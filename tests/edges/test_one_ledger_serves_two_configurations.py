"""One ledger serves two configurations.

Group: ledger
Danger: Two sources, or two Snowflake databases, share the ledger's row of a table. Each finds the checkpoint of the
other one and reads everything again, at every tick, for ever.
Answer: The row knows which source and which target it is used for. A change of either is followed, with an event. If
the row is used in turns, the configuration that comes back is refused, with both names and the fix: `ledger_schema`,
or `pgsnow run --take-over` if the other one has ended.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pgsnow.embedded.postgres import EmbeddedPostgres
from tests.edges.two_worlds import another, fill, tick
from tests.world import MemoryWorld


@pytest.fixture
def other(
    postgres: EmbeddedPostgres, world_template: str, tmp_path: Path, memory_world: MemoryWorld
) -> Iterator[MemoryWorld]:
    """Another source, with the ledger of the first one and a target of its own."""
    with another(postgres, world_template, tmp_path, memory_world) as world:
        world.through({"LEDGER_DSN": memory_world.env["POSTGRES_DSN"], "SNOWFLAKE_DATABASE": "other"})
        fill(memory_world, "first")
        fill(world, "other")
        yield world


def name_of(world: MemoryWorld) -> str:
    return world.env["POSTGRES_DSN"].rpartition("/")[2]


def test_two_sources_in_turns(memory_world: MemoryWorld, other: MemoryWorld) -> None:
    """The second one takes the row, which is said; the first one is refused, with both names, and writes nothing."""
    first = memory_world
    tick(first)
    taken = tick(other)
    assert any(name_of(first) in event and name_of(other) in event for event in taken.events), taken.events
    refused = tick(first, full_refresh=True)
    assert (refused.error_type, refused.rows_read) == ("NotTheOwner", 0)
    for words in (name_of(first), name_of(other), "NONE.ANALYTICS.USERS", "OTHER.ANALYTICS.USERS"):
        assert words in (refused.error or "")
    assert "ledger_schema" in (refused.advice or "")
    assert tick(other).full_read is None


def test_the_row_is_taken_over_by_request(memory_world: MemoryWorld, other: MemoryWorld) -> None:
    """The command of the advice works, and the other configuration is refused from then on."""
    first = memory_world
    for world in (first, other):
        tick(world)
    first.sql("update users set name = 'new', updated_at = now()")
    taken = tick(first, take_over=True)
    assert (taken.error, taken.rows_read) == (None, 5)
    first.assert_equal()
    assert tick(first).full_read is None
    assert tick(other).error_type == "NotTheOwner"


def test_a_source_or_a_target_that_changes_is_followed(memory_world: MemoryWorld) -> None:
    """One configuration, whose Snowflake database and table are changed in turns. The way back is refused only while
    the other place is in use."""
    world = memory_world
    fill(world, "first")
    tick(world)
    for database, target in (("b", "analytics.users"), ("b", "analytics.people"), ("c", "analytics.people")):
        world.through({"SNOWFLAKE_DATABASE": database})
        world.tables[0]["target"] = target
        followed = tick(world)
        assert followed.error is None
        assert followed.full_read is not None
        assert len(world.warehouse.tables[f"{database}.{target}".upper()].rows) == 5
    world.through({"SNOWFLAKE_DATABASE": "b"})
    assert tick(world).error_type == "NotTheOwner"
    world.sql("update sync_watermarks set last_success = now() - interval '20 min'")
    assert tick(world).error is None


def test_an_interval_is_no_end_of_a_configuration(memory_world: MemoryWorld, other: MemoryWorld) -> None:
    """A table that is synced once an hour is in use between two of its runs."""
    for world in (memory_world, other):
        world.tables[0]["every"] = "1h"
        tick(world)
    memory_world.sql("update sync_watermarks set last_success = now() - interval '2 h'")
    assert tick(memory_world).error_type == "NotTheOwner"
