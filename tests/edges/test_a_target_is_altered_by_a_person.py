"""A person alters the target: drops a column, deletes rows, or puts another table in its place.

Group: target
Danger: pgsnow would add the column again, or fill the new table with the rows that changed since the last run, and
report success: the values and rows that were loaded before are missing, and nothing says so.
Answer: pgsnow remembers when the target was created, its columns and its number of rows. A worker looks before it loads
(one SHOW TABLES), and again after ten minutes; between looks, each MERGE fails if the number of rows or a column is
another, or if the rows that were loaded last are not there. A target that is not as it was is read again as a whole,
rows that the source does not have are deleted, and the run, the status and `pgsnow check` say why. A column that a
person adds may stay.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pgsnow.model.errors import TargetUnavailable
from pgsnow.model.report import TableReport
from pgsnow.operations.check.check import run_checks
from pgsnow.sync.load.target import TargetGone
from pgsnow.testing.destination import MemoryTable
from pgsnow.testing.faults import RaiseAt
from tests.examples import rounds
from tests.integration.sync.test_backfill import ROWS, SMALL, SOME
from tests.world import MemoryWorld, World

ALTERED = "everything is read again"
TABLE = "ANALYTICS.USERS"


def fill(world: World, rows: int = 5) -> None:
    world.sql(f"insert into users (id, name, balance) select g, 'old', g from generate_series(1, {rows}) g")


def change(world: World, row: int = 1) -> None:
    world.sql(f"update users set name = 'new', updated_at = clock_timestamp() where id = {row}")


def tick(world: World, **options: Any) -> TableReport:
    with world.engine() as engine:
        [report] = engine.tick(**options).tables
    return report


W = TypeVar("W", bound=World)


def loaded(world: W) -> W:
    """Five rows are in the target, and one has changed since."""
    fill(world)
    assert tick(world).ok
    change(world)
    return world


def assert_repaired(world: World, report: TableReport, because: str) -> None:
    """The run reads everything and says why; the next one reads changes alone, and nothing is doubtful."""
    assert report.ok
    assert because in (report.full_read or ""), report
    assert any(because in event for event in report.events)
    world.assert_equal()
    assert world.sql("select unverified from sync_watermarks") == [(None,)]
    change(world, 2)
    assert tick(world).full_read is None
    world.assert_equal()


ANOTHER = "another table than the one that was loaded"
CREATE = "CREATE {}TABLE {} (ID NUMBER, NAME VARCHAR, BALANCE NUMBER(12,2), PROFILE VARIANT, UPDATED_AT TIMESTAMP_TZ)"
COPY = ["CREATE TABLE {t}_COPY CLONE {t}", "DELETE FROM {t}_COPY WHERE ID < 4"]
ALTERATIONS = {
    "column_dropped": (["ALTER TABLE {t} DROP COLUMN NAME"], "NAME of the target was dropped"),
    "own_column_dropped": (["ALTER TABLE {t} DROP COLUMN _PGSNOW_FENCE"], "_PGSNOW_FENCE of the target"),
    "column_renamed": (["ALTER TABLE {t} RENAME COLUMN BALANCE TO B"], "BALANCE of the target was dropped"),
    "created_again": ([CREATE.format("OR REPLACE ", "{t}")], ANOTHER),
    "restored": ([*COPY, "CREATE OR REPLACE TABLE {t} CLONE {t}_COPY"], ANOTHER),
    "swapped": ([*COPY, "ALTER TABLE {t} SWAP WITH {t}_COPY"], ANOTHER),
    "renamed": (
        [CREATE.format("", "{t}_NEW"), "ALTER TABLE {t} RENAME TO OLD", "ALTER TABLE {t}_NEW RENAME TO {n}"],
        ANOTHER,
    ),
    "rows_deleted": (["DELETE FROM {t} WHERE ID > 3"], "has 3 rows, but had 5"),
    "rows_added": (["INSERT INTO {t} (ID, NAME) SELECT 77, 'x'"], "has 6 rows, but had 5"),
}


def copies_of_users(world: World, entries: dict[str, dict[str, Any]]) -> None:
    """A table like users for each entry, with its name, five rows, and a target; all are loaded and changed since."""
    fill(world)
    for name in entries:
        world.sql(f"create table {name} (like users including all); insert into {name} select * from users")
    world.tables = [
        world.tables[0] | {"source": f"public.{name}", "target": f"analytics.{name}"} | entry
        for name, entry in entries.items()
    ]
    with world.engine() as engine:
        assert all(report.ok for report in engine.tick().tables)
    change_all(world, entries)


def change_all(world: World, names: Iterable[str]) -> None:
    for name in names:
        world.sql(f"update {name} set name = name || '!', updated_at = clock_timestamp() where id = 1")


def assert_all_repaired(world: World, reasons: dict[str, str], *, again: bool = True) -> None:
    """Table → a part of the reason why it is read again. Nothing is doubtful then, and the next run (again) reads
    changes alone."""
    with world.engine() as engine:
        reports = {report.table.removeprefix("public."): report for report in engine.tick().tables}
        for name, because in reasons.items():
            assert reports[name].ok, name
            assert any(because in event for event in reports[name].events), reports[name]
        world.assert_equal()
        assert world.sql("select distinct unverified from sync_watermarks") == [(None,)]
        if not again:
            return
        change_all(world, reasons)
        events = {report.table: report.events for report in engine.tick().tables}
        assert {name: told for name, told in events.items() if ALTERED in str(told)} == {}
        world.assert_equal()


def test_all_that_a_person_may_do_to_a_table(world: World) -> None:
    """Whatever was done to it, the target is equal to its source after the next run that loads anything."""
    copies_of_users(world, {name: {} for name in ALTERATIONS})
    for name, (statements, _) in ALTERATIONS.items():
        for statement in statements:
            world.snowflake(statement.format(t=f"ANALYTICS.{name}", n=name))
    assert_all_repaired(world, {name: because for name, (_, because) in ALTERATIONS.items()}, again=False)


def test_a_column_of_a_person_stays(world: World) -> None:
    """One that is added is no reason to read anything again; after a repair, its values are still there."""
    loaded(world)
    world.snowflake(f"ALTER TABLE {TABLE} ADD COLUMN NOTE VARCHAR")
    world.snowflake(f"UPDATE {TABLE} SET NOTE = 'mine'")
    assert tick(world).full_read is None
    world.snowflake(f"DELETE FROM {TABLE} WHERE ID = 5")
    change(world)
    assert "has 4 rows" in (tick(world).full_read or "")
    assert world.snowflake(f"SELECT COUNT(*) FROM {TABLE} WHERE NOTE = 'mine'") == [(4,)]


def test_a_process_looks_once_before_it_loads_and_an_idle_run_sends_nothing(world: World) -> None:
    """A process that has not looked yet asks once, before it loads anything. Then its MERGE notices by itself if the
    target has another number of rows."""
    loaded(world)
    world.close_engine()
    for looks in (1, 0):
        before = world.emulator.noted()
        assert tick(world).ok
        sent = [text for text in world.emulator.statements_since(before) if "USERS" in text.upper()]
        assert [text for text in sent if text.startswith("SHOW TABLES")] == sent[:looks]
        change(world)
    assert tick(world).ok
    before = world.emulator.noted()
    assert tick(world).ok
    assert world.emulator.statements_since(before) == []


def test_the_check_says_it(world: World) -> None:
    """`pgsnow check` compares the target with what is remembered of it, as the next run does."""
    loaded(world)
    world.snowflake(f"DELETE FROM {TABLE} WHERE ID = 5")
    results = run_checks(world.config, world.settings)
    [found] = [result for result in results if result.name == "target of public.users"]
    assert "has 4 rows, but had 5" in found.detail
    assert ALTERED in found.fix


def test_an_upgraded_ledger_knows_no_target_yet(memory_world: MemoryWorld) -> None:
    """The first run of this version remembers what it finds, and reads only what changed; the second compares."""
    world = loaded(memory_world)
    world.sql(
        "update sync_watermarks set target_created_on = null, target_rows = null, loaded_columns = null"
    )
    assert tick(world).full_read is None
    memory_world.target().rows.pop()
    change(world, 2)
    assert_repaired(world, tick(world), "has 4 rows, but had 5")


def alter(world: MemoryWorld, how: str, name: str = "analytics.users") -> str:
    """Alter the target; returns a part of the reason."""
    table = world.target(name)
    if how == "rows":
        table.rows.pop()
        return "after the last load"
    if how == "column":
        table.columns.pop("NAME")
        for row in table.rows:
            row.pop("NAME")
        return "NAME of the target was dropped"
    world.warehouse.tables[f"NONE.{name.upper()}"] = MemoryTable(dict(table.columns))
    return ANOTHER


HOWS = ("rows", "column", "table")


WAYS: dict[str, dict[str, Any]] = {
    "staged": {"load": "stage"},
    "by_xmin": {"mode": "xmin"},
    "lookback": {"late_rows": "lookback"},
    "keyset": {"late_rows": "off"},
    "whole": {"mode": "full"},
    "small": {"load": "insert"},
}


def test_every_way_of_loading(memory_world: MemoryWorld) -> None:
    """It is noticed whichever way the changes are read and loaded. (mode: full replaces everything anyway.)"""
    world = memory_world
    cases = {f"{way}_{how}": (entry, how) for way, entry in WAYS.items() for how in HOWS}
    copies_of_users(world, {name: entry for name, (entry, _) in cases.items()})
    reasons = {name: alter(world, how, f"analytics.{name}") for name, (_, how) in cases.items()}
    assert_all_repaired(world, reasons)


@pytest.mark.parametrize("how", HOWS)
def test_rows_that_are_staged_are_not_loaded_into_it(memory_world: MemoryWorld, how: str) -> None:
    """load_every: rows were staged before the target was altered. Staging alone does not look at the target."""
    world = memory_world
    world.tables[0] |= {"load_every": "1h"}
    loaded(world)
    assert "staged 1 row" in str(tick(world).events)
    because = alter(world, how)
    change(world, 2)
    assert tick(world).full_read is None
    report = tick(world, load=True)
    assert any(because in event for event in report.events), report
    world.assert_equal()
    assert world.sql("select unverified from sync_watermarks") == [(None,)]


@pytest.mark.parametrize("how", ["column", "table"])
def test_in_the_middle_of_a_backfill(memory_world: MemoryWorld, how: str) -> None:
    """The chunks that were loaded are gone with the table, or lack a column: the backfill starts over. (Rows that are
    deleted before it has ended are not noticed: nobody knows how many there should be until then.)"""
    world = memory_world
    world.tables[0] |= SMALL
    world.sql(SOME.format(1, ROWS))
    with world.engine() as engine:
        engine.tick(leave_chunks=True)
        assert engine.take_chunk() is not None
        alter(world, how)
        with pytest.raises(TargetGone):
            engine.take_chunk()
        while engine.tick(leave_chunks=True).tables[0].chunks_left:
            assert engine.take_chunk() is not None
    world.assert_equal()
    change(world)
    assert tick(world).full_read is None


def test_a_full_refresh_of_an_altered_target(memory_world: MemoryWorld) -> None:
    """A person who asks for a full refresh gets an equal target; the next run has no reason to read it again."""
    world = loaded(memory_world)
    alter(world, "table")
    assert tick(world, full_refresh=True).ok
    world.assert_equal()
    change(world, 2)
    assert tick(world).full_read is None
    world.assert_equal()


def test_a_column_is_dropped_while_the_source_gets_another(memory_world: MemoryWorld) -> None:
    """The run that adds the source's new column does not take the missing one for a new one."""
    world = loaded(memory_world)
    because = alter(world, "column")
    world.sql("alter table users add column more text default 'x'")
    change(world)
    report = tick(world)
    assert any(because in event for event in report.events), report
    world.assert_equal()


def test_a_doubt_that_stays_deletes_nothing(memory_world: MemoryWorld) -> None:
    """Only a full read shows which rows the source does not have; one that reads changes deletes none."""
    world = loaded(memory_world)
    world.sql("update sync_watermarks set unverified = 'for a reason'")
    assert tick(world).full_read is None
    world.assert_equal()
    assert world.sql("select unverified from sync_watermarks") == [("for a reason",)]


@pytest.mark.parametrize("phase", ["merged", "swept"])
def test_a_repair_that_is_killed_is_made_again(memory_world: MemoryWorld, phase: str) -> None:
    """Wherever the repair stops, the next run goes on with it: rows that only the target had are gone in the end."""
    world = loaded(memory_world)
    world.sql("delete from users where id = 5")
    alter(world, "rows")
    with world.engine(RaiseAt(phase, RuntimeError("died"))) as engine:
        engine.tick()
    assert tick(world).ok
    world.assert_equal()
    assert world.sql("select unverified from sync_watermarks") == [(None,)]


def test_a_run_that_is_killed_after_its_load_is_no_alteration(memory_world: MemoryWorld) -> None:
    """Rows that a run added before it was killed are pgsnow's own: the next run reads only the changes."""
    world = loaded(memory_world)
    fill_more = "insert into users (id, name) select g, 'more' from generate_series(100, 109) g"
    world.sql(fill_more)
    with world.engine(RaiseAt("merged", RuntimeError("died"))) as engine:
        engine.tick()
    assert len(world.target().rows) == 15
    report = tick(world)
    assert (report.ok, report.full_read) == (True, None)
    world.assert_equal()


def test_a_load_whose_answer_was_lost_is_no_alteration(memory_world: MemoryWorld) -> None:
    """It is done twice, and the second time it adds nothing: the number of rows is not known then, and not compared."""
    world = loaded(memory_world)
    world.sql("insert into users (id, name) values (100, 'more')")
    world.warehouse.fail("merge", TargetUnavailable("the reply was lost"), after=True)
    assert tick(world).ok
    change(world, 2)
    assert tick(world).full_read is None
    world.assert_equal()


@given(steps=st.lists(st.sampled_from(["insert", "change", "delete", *HOWS, "tick"]), max_size=6))
@settings(max_examples=rounds(3), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_order_of_changes_and_alterations(memory_world: MemoryWorld, steps: list[str]) -> None:
    """After a run that loads something, the target has all rows of the source with their values. It may have more: rows
    that were deleted in the source alone, which stay with `deletes: off`. Rows that are deleted while the ledger does
    not know how many there are (a row was read twice by a repair, for example) are not noticed."""
    world, ids = memory_world, count(1000)
    world.tables[0] |= {"deletes": "off"}
    world.sql("truncate users")
    for step in [*steps, "insert", "tick"]:
        if step == "insert":
            world.sql(f"insert into users (id, name) values ({next(ids)}, 'x')")
        elif step == "change":
            world.sql("update users set name = name || 'x', updated_at = clock_timestamp()")
        elif step == "delete":
            world.sql("delete from users where id = (select min(id) from users)")
        elif step == "tick":
            assert tick(world).ok
        elif is_to_alter(world, step):
            alter(world, step)
    found = {difference.kind for difference in world.differences()["public.users"]}
    assert found <= {"extra"}


def is_to_alter(world: MemoryWorld, how: str) -> bool:
    """Whether the target can be altered in this way, and pgsnow can notice it."""
    if not world.warehouse.tables or not world.target().rows or "NAME" not in world.target().columns:
        return False
    return how != "rows" or world.sql("select target_rows from sync_watermarks") != [(None,)]
