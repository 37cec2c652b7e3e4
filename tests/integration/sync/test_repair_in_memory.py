"""Rows that differ are repaired by key, under the table's lease, as a run would load them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
import pytest

from pgsnow.model.errors import TargetUnavailable
from pgsnow.model.key_range import DifferenceKind, KeyDifference
from pgsnow.model.report import Status, TableReport
from pgsnow.sync.table.comparison.repair import RepairOrder
from tests.world import MemoryWorld

MISSING, CHANGED, GHOST, DUPLICATE = (
    DifferenceKind.MISSING,
    DifferenceKind.CHANGED,
    DifferenceKind.GHOST,
    DifferenceKind.DUPLICATE,
)


def differing(kind: DifferenceKind, *ids: int) -> list[KeyDifference]:
    return [KeyDifference(kind, (str(number),)) for number in ids]


def repair(world: MemoryWorld, found: Sequence[KeyDifference], **options: Any) -> TableReport:
    with world.engine() as engine:
        order = RepairOrder(found, target_rows=len(world.target().rows), **options)
        [report] = engine.repair({"public.users": order}).tables
    return report


@pytest.fixture
def loaded(memory_world: MemoryWorld) -> MemoryWorld:
    """A table with ten rows in both places."""
    memory_world.sql("insert into users (id, name) select g, 'n' || g from generate_series(1, 10) g")
    with memory_world.engine() as engine:
        engine.tick()
    return memory_world


def damage(world: MemoryWorld) -> list[KeyDifference]:
    """Row 1 is missing, 2 has another name, 11 is a ghost, 3 is there twice."""
    rows = world.target().rows
    rows[:] = [row for row in rows if row["ID"] != 1]
    for row in rows:
        if row["ID"] == 2:
            row["NAME"] = "another"
    rows.append({**rows[0], "ID": 11})
    rows.append(next(dict(row) for row in rows if row["ID"] == 3))
    return [
        *differing(MISSING, 1),
        *differing(CHANGED, 2),
        *differing(GHOST, 11),
        *differing(DUPLICATE, 3),
    ]


def test_every_kind_of_difference_is_repaired_and_nothing_else_is_read(loaded: MemoryWorld) -> None:
    report = repair(loaded, damage(loaded))
    assert (report.rows_read, report.rows_deleted) == (2, 1)
    loaded.assert_equal()
    with loaded.engine() as engine:
        assert engine.tick().tables[0].status is Status.IDLE


def test_the_checkpoint_does_not_move_and_the_next_run_reads_no_more_than_without_a_repair(
    loaded: MemoryWorld,
) -> None:
    """A target with another number of rows than after the last load is read again as a whole by runs; a repair is
    what makes that unnecessary."""
    before = loaded.sql("select checkpoint from sync_watermarks")
    repair(loaded, damage(loaded))
    assert loaded.sql("select checkpoint from sync_watermarks") == before
    loaded.sql("update users set name = 'x', updated_at = clock_timestamp() where id = 5")
    with loaded.engine() as engine:
        report = engine.tick().tables[0]
    assert (report.full_read, report.rows_read) == (None, 1)
    loaded.assert_equal()


def test_a_ghost_that_the_source_has_again_is_kept(loaded: MemoryWorld) -> None:
    report = repair(loaded, differing(GHOST, 4))
    assert report.rows_deleted == 0
    assert "1 row was kept: the source has the key" in report.events
    loaded.assert_equal()


def test_with_deletes_off_ghosts_stay_unless_they_are_asked_for(loaded: MemoryWorld) -> None:
    loaded.tables[0]["deletes"] = "off"
    found = [one for one in damage(loaded) if one.kind is GHOST]
    assert repair(loaded, found).rows_deleted == 0
    assert any(row["ID"] == 11 for row in loaded.target().rows)
    assert repair(loaded, found, ghosts=True).rows_deleted == 1


def test_more_ghosts_than_the_guards_allow_need_a_confirmation(loaded: MemoryWorld) -> None:
    """Nothing at all is repaired before it, so that a wrong database does no harm."""
    loaded.sql("truncate users")
    found = differing(GHOST, *range(1, 11))
    report = repair(loaded, found)
    assert (report.status, report.error_type) == (Status.ERROR, "DeletesUnconfirmed")
    assert len(loaded.target().rows) == 10
    with loaded.engine() as engine:
        order = RepairOrder(found, target_rows=10)
        engine.repair({"public.users": order}, confirm_deletes=True)
    assert loaded.target().rows == []


def test_a_row_that_is_rejected_again_stays_rejected(loaded: MemoryWorld) -> None:
    loaded.sql("alter table users add column seen timestamp")
    with loaded.engine() as engine:
        engine.tick()
    loaded.sql("alter table users disable trigger all; update users set seen = 'infinity' where id = 2")
    report = repair(loaded, differing(CHANGED, 2))
    assert (report.status, report.rows_rejected) == (Status.PARTIAL, 1)
    assert any("rejected again" in event for event in report.events)


def test_a_row_that_has_left_where_is_not_loaded(memory_world: MemoryWorld) -> None:
    memory_world.tables[0]["where"] = "name <> 'out'"
    memory_world.sql("insert into users (id, name) values (1, 'a'), (2, 'out')")
    with memory_world.engine() as engine:
        engine.tick()
    repair(memory_world, differing(MISSING, 2))
    assert [row["ID"] for row in memory_world.target().rows] == [1]


def test_staged_rows_are_loaded_first(memory_world: MemoryWorld) -> None:
    """Loaded after a repair, they would be older versions of the repaired rows."""
    memory_world.tables[0] |= {"load_every": "1h", "load": "stage"}
    memory_world.sql("insert into users (id, name) values (1, 'a'), (2, 'b')")
    with memory_world.engine() as engine:
        engine.tick()
        memory_world.sql("update users set name = 'staged', updated_at = clock_timestamp() where id = 1")
        engine.tick()
        memory_world.sql("update users set name = 'newest' where id = 1")
    repair(memory_world, differing(CHANGED, 1))
    assert {row["NAME"] for row in memory_world.target().rows} == {"newest", "b"}
    assert memory_world.sql("select staged from sync_watermarks") == [(None,)]


def test_a_table_that_was_never_loaded_is_left_alone(memory_world: MemoryWorld) -> None:
    memory_world.sql("insert into users (id, name) values (1, 'a')")
    with memory_world.engine() as engine:
        [report] = engine.repair({"public.users": RepairOrder(differing(MISSING, 1))}).tables
    assert report.rows_read == 0
    assert any(
        event.startswith("nothing was repaired: it has not been loaded yet") for event in report.events
    )


def test_a_paused_table_and_one_of_another_run_are_left_alone(loaded: MemoryWorld) -> None:
    found = damage(loaded)
    with loaded.engine() as other, other._claim(other.config.tables, requested=True):
        assert repair(loaded, found).status is Status.LOCKED
    loaded.sql("update sync_watermarks set paused = true")
    assert repair(loaded, found).status is Status.PAUSED


@pytest.mark.parametrize("point", ["merge", "delete"])
def test_a_repair_that_fails_on_the_way_can_be_repeated(loaded: MemoryWorld, point: str) -> None:
    found = damage(loaded)
    for _ in range(4):
        loaded.warehouse.fail(point, TargetUnavailable("gone"), after=True)
    repair(loaded, found)
    repair(loaded, found)
    loaded.assert_equal()
    assert loaded.leftovers() == []


def test_a_key_under_hash_is_found_by_its_hash(memory_world: MemoryWorld) -> None:
    memory_world.sql("alter table users add column mail text unique not null default 'x'")
    memory_world.tables[0] |= {"pk": "mail", "transform": {"hash": ["mail"], "salt": "pepper"}}
    memory_world.sql(
        "insert into users (id, name, mail) values (1, 'a', 'm1'), (2, 'b', 'm2'), (3, 'c', 'm3')"
    )
    with memory_world.engine() as engine:
        engine.tick()
    rows = memory_world.target().rows
    [lost] = [row["MAIL"] for row in rows if row["NAME"] == "a"]
    [kept] = [row["MAIL"] for row in rows if row["NAME"] == "b"]
    rows[:] = [row for row in rows if row["NAME"] != "a"]
    rows.append({**rows[0], "MAIL": "0" * 64})
    found = [
        KeyDifference(MISSING, (lost,)),
        KeyDifference(GHOST, ("0" * 64,)),
        KeyDifference(GHOST, (kept,)),
    ]
    report = repair(memory_world, found)
    assert sorted(row["NAME"] for row in memory_world.target().rows) == ["a", "b", "c"], report.events


def test_an_unknown_key_is_no_error(loaded: MemoryWorld) -> None:
    """The row was deleted in the source meanwhile."""
    assert repair(loaded, differing(MISSING, 999)).status in (Status.OK, Status.IDLE)
    with psycopg.connect(loaded.env["POSTGRES_DSN"]):
        loaded.assert_equal()
