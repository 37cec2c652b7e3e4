"""A statement of a killed run commits after the next run.

Group: account
Danger: A worker is killed while Snowflake executes its MERGE. The next run reads again, and removes a row that was
deleted in the meantime. Then the MERGE commits, and inserts that row again. Nothing in Postgres shows it.
Answer: The run that takes the table over records it. The keys of both sides are compared by that run, by the next
one, and once more after an hour, when no statement of the killed run can be running any more. The number of rows shows
such a row too.
"""

from __future__ import annotations

from copy import deepcopy

from pgsnow.model.report import TableReport
from tests.world import MemoryWorld


def run(world: MemoryWorld) -> TableReport:
    with world.engine() as engine:
        [report] = engine.tick().tables
    assert report.ok, report.error
    return report


def test_a_row_that_is_inserted_late_is_removed(memory_world: MemoryWorld) -> None:
    """The killed run held the table's lease. Without another change in Postgres, two later ticks settle it."""
    world = memory_world
    world.sql("insert into users (id) select generate_series(1, 10)")
    run(world)
    deleted = next(deepcopy(row) for row in world.target().rows if row["ID"] == 3)
    world.sql("update sync_watermarks set lease_run_id = 'killed', lease_expires = now()")
    world.sql("delete from users where id = 3")
    world.sql("select pg_stat_force_next_flush()")
    world.sql("select 1")
    assert run(world).rows_deleted == 1
    world.assert_equal()
    world.target().rows.append(deleted)  # the late MERGE
    assert run(world).ranges_compared == 0, "nothing shows it yet"
    for name in ("swept_at", "unsure_since", "unsure_until"):  # an hour passes
        past = f"jsonb_build_object('{name}', (sweep -> '{name}')::float8 - 3700)"
        world.sql(f"update sync_watermarks set sweep = sweep || {past}")
    run(world)  # finds a row too many, so that everything is read again
    run(world)
    world.assert_equal()
    assert run(world).ranges_compared == 0


def test_a_row_that_is_inserted_after_the_takeover_is_removed_within_two_runs(
    memory_world: MemoryWorld,
) -> None:
    """The killed run's MERGE ends when the run that takes over has compared: the next one compares again, though
    nothing shows a delete."""
    world = memory_world
    world.tables[0] |= {"sweep_share": "100%"}
    world.sql("insert into users (id) select generate_series(1, 10)")
    run(world)
    deleted = next(deepcopy(row) for row in world.target().rows if row["ID"] == 3)
    world.sql("update sync_watermarks set lease_run_id = 'killed', lease_expires = now()")
    world.sql("delete from users where id = 3")
    world.sql("select pg_stat_force_next_flush()")
    assert run(world).rows_deleted == 1
    world.target().rows.append(deleted)  # the late MERGE
    run(world)  # finds a row too many, so that everything is read again
    run(world)
    world.assert_equal()
