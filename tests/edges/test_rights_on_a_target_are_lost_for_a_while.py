"""A privilege on a target is revoked for a while.

Group: target
Danger: Snowflake gives one answer for a table that does not exist and for one that the role may not use. Taken for
"dropped", one run with a revoked grant would throw away the checkpoint of each table and read everything again.
Answer: pgsnow forgets nothing before its own CREATE has succeeded, which proves that the table was gone. Until the
privilege is back, runs end with an error that says so; then they go on where they ended, and what was staged is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pgsnow.model.errors import TargetAccessDenied
from pgsnow.model.report import TableReport
from pgsnow.sync.load.claimed_table import ClaimedTable
from tests.integration.sync.test_backfill import ROWS, SMALL, SOME
from tests.world import MemoryWorld, World

COLUMNS = "replace(loaded_columns::text, '(6)', '(9)')"
"""The emulator shows every timestamp with nine digits."""
STORED = f"select checkpoint, staged, target_created_on, {COLUMNS}, backfill from sync_watermarks"


def fill(world: World, rows: int = 5) -> World:
    world.sql(f"insert into users (id, name) select g, 'old' from generate_series(1, {rows}) g")
    return world


def change(world: World) -> None:
    world.sql("update users set name = name || '!', updated_at = clock_timestamp() where id = 1")


def tick(world: World, **options: Any) -> TableReport:
    with world.engine() as engine:
        [report] = engine.tick(["public.users"], **options).tables  # asked for, so it does not back off
    return report


@contextmanager
def hidden(world: World, *below: str) -> Iterator[None]:
    """Nobody may see this object of the test's database."""
    name = ".".join([world.env["SNOWFLAKE_DATABASE"], *below])
    world.emulator.hide(name)
    try:
        yield
    finally:
        world.emulator.unhide(name)


def assert_refused(report: TableReport) -> None:
    """It ends with an error whose advice is about privileges."""
    assert report.error_type in ("TargetAccessDenied", "TargetMissing"), report
    assert any(word in (report.advice or "") for word in ("privileges", "grants", "GRANT")), report


PLACES = [("ANALYTICS", "USERS"), ("ANALYTICS",), (), ("ANALYTICS", "PGSNOW_STAGE")]


@pytest.mark.parametrize(
    ("drift", "places"),
    [
        (False, PLACES),
        (True, PLACES[:1]),
        pytest.param(True, PLACES[1:], marks=pytest.mark.thorough),
    ],
    ids=["everywhere", "drift", "drift-elsewhere"],
)
def test_what_is_revoked_and_granted_again(world: World, drift: bool, places: list[tuple[str, ...]]) -> None:
    """On the table, its schema, the database, or the stage: nothing is forgotten, and the next run reads changes alone.
    drift: the source has got a column, for which the target must be altered."""
    fill(world)
    world.tables[0] |= {"load": "stage"}
    assert tick(world).ok
    for at, below in enumerate(places):
        if drift:
            world.sql(f"alter table users add column more_{at} int")
        change(world)
        before = world.sql(STORED)
        with hidden(world, *below):
            assert_refused(tick(world))
            if below != ("ANALYTICS", "PGSNOW_STAGE"):
                assert world.sql(STORED) == before, below
            assert_refused(tick(world))
        report = tick(world)
        assert (report.ok, report.full_read) == (True, None), (below, report)
        world.assert_equal()


def test_a_full_replace(world: World) -> None:
    """mode: full: the same."""
    fill(world)
    world.tables[0] |= {"mode": "full"}
    assert tick(world).ok
    change(world)
    before = world.sql(STORED)
    with hidden(world, "ANALYTICS", "USERS"):
        assert_refused(tick(world))
    assert world.sql(STORED) == before
    assert tick(world).ok
    world.assert_equal()


def test_rows_that_are_staged(world: World) -> None:
    """They stay staged while the table or the stage cannot be used, and are loaded afterwards."""
    fill(world)
    world.tables[0] |= {"load_every": "1h", "load": "stage"}
    assert tick(world).ok
    change(world)
    assert tick(world).ok
    staged = "select staged, loaded_checkpoint, target_created_on from sync_watermarks"
    before = world.sql(staged)
    assert before[0][0] is not None
    for below in (("ANALYTICS", "USERS"), ("ANALYTICS", "PGSNOW_STAGE")):
        with hidden(world, *below):
            assert not tick(world, load=True).ok
        assert world.sql(staged) == before, below
    report = tick(world, load=True)
    assert (report.ok, report.full_read) == (True, None)
    assert any("loaded 1 staged row" in event for event in report.events), report
    world.assert_equal()


def test_chunks_of_a_backfill(world: World) -> None:
    """A worker that may not use the table for a while fails; the chunks that are loaded stay loaded."""
    world.tables[0] |= SMALL
    world.sql(SOME.format(1, ROWS))
    with world.engine() as engine:
        engine.tick(leave_chunks=True)
        assert engine.take_chunk() is not None
        before = world.sql(STORED)
        with hidden(world, "ANALYTICS", "USERS"), pytest.raises(TargetAccessDenied):
            engine.take_chunk()
        assert world.sql(STORED) == before
        while engine.take_chunk() is not None:
            pass
        report = engine.tick(leave_chunks=True).tables[0]
        assert report.ok
        assert not any("starts over" in event for event in report.events)
    world.assert_equal()


def test_a_resync(world: World) -> None:
    """Its shadow table is used further once it may be; one that was dropped is filled from the beginning."""
    world.tables[0] |= SMALL
    world.sql(SOME.format(1, ROWS))
    assert tick(world).ok
    with world.engine() as engine:
        engine.tick(leave_chunks=True, resync=True)
        assert engine.take_chunk() is not None
        [(_, shadow, *_)] = world.snowflake("SHOW TABLES LIKE 'USERS__PGSNOW%' IN SCHEMA ANALYTICS")
        before = world.sql(STORED)
        with hidden(world, "ANALYTICS", shadow), pytest.raises(TargetAccessDenied):
            engine.take_chunk()
        assert world.sql(STORED) == before
        assert engine.take_chunk() is not None
        world.snowflake(f'DROP TABLE ANALYTICS."{shadow}"')
    with world.engine() as engine:
        assert engine.tick().tables[0].ok or engine.tick().tables[0].ok
    world.assert_equal()
    assert world.leftovers() == []


@pytest.mark.parametrize("known", [True, False])
def test_a_run_that_is_killed_between_create_and_forgetting(
    memory_world: MemoryWorld, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    """The target was dropped and is there again, empty; the ledger still has the checkpoint. The next run reads
    everything. known: the ledger remembers the target; it does not after an upgrade."""
    world = memory_world
    fill(world)
    assert tick(world).ok
    if not known:
        world.sql("update sync_watermarks set target_created_on = null, target_rows = null")
    world.drop()
    change(world)
    with monkeypatch.context() as patch:
        patch.setattr(ClaimedTable, "begin_again", lambda *_: (_ for _ in ()).throw(RuntimeError("killed")))
        assert not tick(world).ok
    assert len(world.target().rows) == 0
    assert tick(world).ok
    world.assert_equal()


def test_a_view_is_no_target(world: World) -> None:
    """It is named as such; nothing is forgotten."""
    fill(world)
    assert tick(world).ok
    before = world.sql(STORED)
    world.snowflake("ALTER TABLE ANALYTICS.USERS RENAME TO BASE")
    world.snowflake("CREATE VIEW ANALYTICS.USERS AS SELECT * FROM ANALYTICS.BASE")
    change(world)
    report = tick(world)
    assert (report.error_type, "is a view" in (report.error or "")) == ("TargetConflict", True)
    assert world.sql(STORED) == before
