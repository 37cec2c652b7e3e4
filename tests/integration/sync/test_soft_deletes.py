"""With `deletes: soft`, deleted rows stay in the target with their last values and the time when they were found
missing, and come back when their key does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pgsnow.model.report import Status, TableReport
from tests.world import MemoryWorld, World

SOME = "insert into users (id, name, updated_at) select g, 'v1', now() from generate_series({}, {}) g"


def run(world: World, **options: Any) -> TableReport:
    """One run of the first table that must succeed."""
    with world.engine() as engine:
        report = engine.tick(**options).tables[0]
    assert report.status is Status.OK, report
    return report


def held(world: World) -> dict[int, tuple[str, bool]]:
    """Each key of the target with its name, and whether it is marked. A key that is there twice is an error."""
    if isinstance(world, MemoryWorld):
        rows = [
            (r["ID"], r["NAME"], r.get("_PGSNOW_DELETED_AT") is not None) for r in world.target().rows
        ]
    else:
        rows = world.snowflake('SELECT ID, NAME, "_PGSNOW_DELETED_AT" IS NOT NULL FROM ANALYTICS.USERS')
    assert len({row[0] for row in rows}) == len(rows)
    return {int(key): (name, marked) for key, name, marked in rows}


def marks(world: World) -> dict[int, Any]:
    """The time of each mark."""
    rows = world.snowflake('SELECT ID, "_PGSNOW_DELETED_AT" FROM ANALYTICS.USERS')
    return {int(key): at for key, at in rows if at is not None}


def test_rows_are_marked_once_and_come_back(world: World) -> None:
    """A full refresh marks the rows that are gone and nothing else; a mark keeps its time; a row that is inserted again
    loses it; a resync keeps marked rows and marks those that are gone since."""
    world.tables[0]["deletes"] = "soft"
    world.sql(SOME.format(1, 5))
    run(world)
    assert held(world) == {at: ("v1", False) for at in range(1, 6)}

    world.sql("delete from users where id in (1, 2)")
    report = run(world, full_refresh=True)
    assert "marked 2 rows that are gone from the source as deleted" in report.events
    assert held(world) == {at: ("v1", at < 3) for at in range(1, 6)}
    first = marks(world)

    world.sql("insert into users (id, name) values (2, 'again')")
    run(world)
    assert held(world)[2] == ("again", False)
    world.sql("delete from users where id = 3")
    run(world, full_refresh=True)
    assert {at for at, (_, marked) in held(world).items() if marked} == {1, 3}
    assert marks(world)[1] == first[1]

    world.sql("delete from users where id = 4; update users set name = 'v2', updated_at = now() where id = 5")
    run(world, resync=True)
    expected = {1: ("v1", True), 2: ("again", False), 3: ("v1", True), 4: ("v1", True), 5: ("v2", False)}
    assert held(world) == expected
    assert marks(world)[1] == first[1]
    assert run(world, resync=True).rows_read == 2
    assert held(world) == expected


def test_a_shadow_table_leaves_marked_rows_where_they_are(world: World) -> None:
    """A resync of a large table replaces the target's content in one step. Marked rows stay, with their times; rows
    that are gone since are marked in the same step."""
    world.tables[0] |= {"deletes": "soft", "max_mb_per_chunk": 0.04, "batch_size": 200}
    world.sql(SOME.format(1, 1000))
    run(world)
    world.sql("delete from users where id = 1")
    run(world, full_refresh=True)
    first = marks(world)
    world.sql("delete from users where id between 2 and 4")
    report = run(world, resync=True)
    assert any(event.startswith("backfill in") for event in report.events)
    assert held(world) == {at: ("v1", at <= 4) for at in range(1, 1001)}
    assert marks(world)[1] == first[1]
    world.sql("insert into users (id, name) values (1, 'again')")
    run(world)
    assert held(world)[1] == ("again", False)


def test_a_table_that_is_read_as_a_whole_keeps_deleted_rows_too(world: World) -> None:
    """With a key, `mode: full` marks the rows that its new content does not have."""
    world.tables[0] = {k: v for k, v in world.tables[0].items() if k != "watermark_column"}
    world.tables[0] |= {"deletes": "soft", "mode": "full"}
    world.sql(SOME.format(1, 3))
    run(world)
    world.sql("delete from users where id = 1")
    run(world)
    assert held(world) == {1: ("v1", True), 2: ("v1", False), 3: ("v1", False)}
    world.sql("insert into users (id, name) values (1, 'again'); delete from users where id > 1")
    run(world)
    assert held(world) == {1: ("again", False), 2: ("v1", True), 3: ("v1", True)}
    world.sql("delete from users")
    run(world)
    assert held(world) == {1: ("again", True), 2: ("v1", True), 3: ("v1", True)}
