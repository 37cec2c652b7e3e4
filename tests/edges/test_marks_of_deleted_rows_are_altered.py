"""The marks of deleted rows are altered: their column is dropped, taken, or not allowed.

Group: target
Danger: with `deletes: soft`, analysts rely on the column `_PGSNOW_DELETED_AT`. If a person drops it or clears it, rows
that were deleted long ago would count as rows that exist, and nothing would say so.
Answer: a dropped column is added again, and everything is read once, so that deleted rows are marked as before; only
the times of the marks are new. If the role may not add the column, nothing is marked or deleted until it may, and
the run says which statement was refused. A column of this name in the source is refused: rename it in `columns:`.
"""

from __future__ import annotations

from typing import Any

import pytest

from pgsnow.model.errors import TargetAccessDenied, TargetConflict
from pgsnow.model.metadata_columns import DELETED_AT_COLUMN, FENCE_COLUMN
from pgsnow.model.report import TableReport
from pgsnow.snowflake.schema.target_table import Shape, TargetColumn
from tests.unit.model.evolving import column, plan_of, table
from tests.world import MemoryWorld


def tick(world: MemoryWorld, **options: Any) -> TableReport:
    with world.engine() as engine:
        return engine.tick(**options).tables[0]


def marked(world: MemoryWorld) -> set[int]:
    """Keys of the marked rows."""
    return {row["ID"] for row in world.target().rows if row[DELETED_AT_COLUMN] is not None}


@pytest.fixture
def soft(memory_world: MemoryWorld) -> MemoryWorld:
    """Four rows are in the target, of which 1 and 2 are deleted in the source and marked."""
    memory_world.tables[0]["deletes"] = "soft"
    memory_world.sql("insert into users (id, name) select g, 'v1' from generate_series(1, 4) g")
    assert tick(memory_world).ok
    memory_world.sql("delete from users where id < 3")
    assert tick(memory_world, full_refresh=True).ok
    assert marked(memory_world) == {1, 2}
    return memory_world


def test_a_dropped_column_comes_back_with_its_marks(soft: MemoryWorld) -> None:
    """The next run that loads anything reads everything, and marks the rows that the source does not have."""
    users = soft.target()
    users.columns.pop(DELETED_AT_COLUMN)
    for row in users.rows:
        row.pop(DELETED_AT_COLUMN)
    soft.sql("update users set name = 'v2', updated_at = now() where id = 3")
    report = tick(soft)
    assert "_PGSNOW_DELETED_AT of the target was dropped" in str(report.events)
    assert marked(soft) == {1, 2}
    soft.assert_equal()


def test_a_cleared_mark_is_set_again(soft: MemoryWorld) -> None:
    """By whatever compares all rows next."""
    for row in soft.target().rows:
        row[DELETED_AT_COLUMN] = None
    tick(soft, full_refresh=True)
    assert marked(soft) == {1, 2}


def test_a_mark_set_by_hand_does_not_hide_a_row_for_good(soft: MemoryWorld) -> None:
    """A row that exists loses the mark when it is loaded again."""
    for row in soft.target().rows:
        row[DELETED_AT_COLUMN] = "2020-01-01"
    tick(soft, full_refresh=True)
    assert marked(soft) == {1, 2}
    soft.assert_equal()


@pytest.mark.parametrize("later", [0, 1], ids=["of one run", "of a later run"])
def test_a_row_is_there_with_a_mark_and_without(soft: MemoryWorld, later: int) -> None:
    """Somebody has copied a row and marked one of both. The row that exists stays, unless the mark is newer."""
    [row] = [row for row in soft.target().rows if row["ID"] == 3]
    soft.target().rows.insert(
        0, {**row, DELETED_AT_COLUMN: "2020-01-01", FENCE_COLUMN: row[FENCE_COLUMN] + later}
    )
    tick(soft, duplicates_only=True)
    assert marked(soft) == ({1, 2, 3} if later else {1, 2})
    tick(soft, full_refresh=True)
    assert marked(soft) == {1, 2}
    soft.assert_equal()


def test_nothing_happens_while_the_column_cannot_be_added(memory_world: MemoryWorld) -> None:
    """The run fails with the refused statement's error; once the right is there, the next run marks what is gone."""
    world = memory_world
    world.tables[0]["deletes"] = "off"
    world.sql("insert into users (id, name) select g, 'v1' from generate_series(1, 3) g")
    assert tick(world).ok
    world.tables[0]["deletes"] = "soft"
    world.sql("delete from users where id = 1; insert into users (id, name) values (9, 'new')")
    world.warehouse.fail("prepare", TargetAccessDenied("003001: Insufficient privileges: ALTER TABLE"))
    report = tick(world, full_refresh=True)
    assert "ALTER TABLE" in (report.error or "")
    assert sorted(row["ID"] for row in world.target().rows) == [1, 2, 3]
    assert tick(world, full_refresh=True).ok
    assert marked(world) == {1}
    world.assert_equal()


def test_a_column_of_this_name_in_the_source_is_refused(memory_world: MemoryWorld) -> None:
    """It would be overwritten. The table is refused before anything is loaded, and the advice names the key to set;
    under another name the column is loaded like any other."""
    world = memory_world
    world.sql("alter table users add _pgsnow_deleted_at timestamptz default now()")
    world.sql("insert into users (id, name) values (1, 'v1')")
    report = tick(world)
    assert "column _pgsnow_deleted_at has a name that pgsnow uses itself" in (report.error or "")
    assert "columns: {rename:" in (report.advice or "")
    world.tables[0] |= {"deletes": "soft", "columns": {"rename": {"_pgsnow_deleted_at": "REMOVED_AT"}}}
    assert tick(world).ok
    assert marked(world) == set()
    world.assert_equal()


@pytest.mark.parametrize(
    ("there", "problem"),
    [
        (
            TargetColumn("_pgsnow_deleted_at", "TIMESTAMP_TZ(9)", required=False, computed=False),
            "in case alone",
        ),
        (TargetColumn(DELETED_AT_COLUMN, "VARCHAR", required=False, computed=False), "is VARCHAR"),
    ],
)
def test_a_column_of_somebody_else_is_left_alone(there: TargetColumn, problem: str) -> None:
    """A target that has the column in another case, or with another type, is refused before it is altered."""
    plan = plan_of(table(column(3, "name", "text")), deletes="soft")
    known = [TargetColumn(f.target, f.type.snowflake, required=False, computed=False) for f in plan.output]
    with pytest.raises(TargetConflict, match=problem):
        Shape.of(plan).alterations([*known, there])
    [*_, added] = Shape.of(plan).alterations(known).changes
    assert added.statement.endswith('ADD COLUMN IF NOT EXISTS "_PGSNOW_DELETED_AT" TIMESTAMP_TZ')
