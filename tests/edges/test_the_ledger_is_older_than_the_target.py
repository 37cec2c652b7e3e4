"""The ledger is lost, or restored to an older state than the target.

Group: ledger
Danger: The runs of the older ledger have lower numbers (fences) than rows in the target, and a MERGE never overwrites a
row of a later run. Runs, full refreshes and resyncs would end with "ok" and write nothing.
Answer: Each way of loading finds out whether the target refused rows. The run ends with an error, the ledger's numbers
are raised above those in the target, and the next run reads everything again and deletes rows that the source does not
have. Nothing needs to be done.
"""

from __future__ import annotations

from typing import Any

from pgsnow.ledger.ledger import Ledger
from pgsnow.model.metadata_columns import FENCE_COLUMN
from pgsnow.model.report import TableReport
from tests.world import USERS_TABLE, MemoryWorld, World

A_YEAR = 365 * 86_400 * 1_000_000
"""In fences, which are microseconds."""
ITEMS = {"source": "public.items", "target": "analytics.items", "mode": "full"}


def fill(world: World, rows: int = 5) -> None:
    world.sql(f"insert into users (id, name) select g, 'old' from generate_series(1, {rows}) g")


def tick(world: MemoryWorld, **options: Any) -> TableReport:
    with world.engine() as engine:
        [report] = engine.tick(**options).tables
    return report


def later_rows(world: MemoryWorld, name: str = "analytics.users") -> None:
    """The target's rows get fences that the ledger does not know, as if it had been restored."""
    for row in world.target(name).rows:
        row[FENCE_COLUMN] += A_YEAR


def lose_ledger(world: World) -> None:
    """All its tables are dropped, and created again."""
    found = world.sql(
        "select tablename from pg_tables where schemaname = 'public' and tablename ~ '^(sync_|pgsnow)'"
    )
    world.sql(f"drop table {', '.join(name for (name,) in found)} cascade")
    Ledger(world.settings.ledger, "public").migrate()


def assert_told_and_repaired(world: MemoryWorld, report: TableReport, **options: bool) -> None:
    """The run failed and says why; the next one repairs the target, rows that only the target has included. options:
    of the next one."""
    assert (report.error_type, report.status) == ("LedgerOutdated", "error"), report
    assert "later run than the ledger knows" in (report.error or "")
    [(status, why)] = world.sql("select last_status, unverified from sync_watermarks")
    assert (status, "later run than the ledger knows" in why) == ("error", True)
    repaired = tick(world, load=True, **options)
    assert repaired.error is None
    assert "later run than the ledger knows" in (repaired.full_read or ""), repaired
    world.assert_equal()
    assert tick(world).status == "idle"
    assert world.sql("select unverified, last_error from sync_watermarks") == [(None, None)]


def test_a_lost_ledger(memory_world: MemoryWorld) -> None:
    """Its first run says that the target has later rows. The second one repairs it."""
    world = memory_world
    lose_ledger(world)  # that of the database of which this one is a copy
    fill(world)
    tick(world)
    later_rows(world)
    lose_ledger(world)
    world.sql("update users set name = 'new', updated_at = now() where id < 3")
    world.sql("delete from users where id = 4")
    assert_told_and_repaired(world, tick(world))


def test_an_older_ledger(memory_world: MemoryWorld) -> None:
    """Whichever way the rows are loaded, the run that could not replace them fails, and the next one repairs them."""
    world = memory_world
    fill(world)
    tick(world)
    for way in ("tick", "full_refresh", "resync", "load_every", "insert"):
        more = {"load_every": {"load_every": "1h"}, "insert": {"load": "insert"}}.get(way, {})
        world.tables[0] = USERS_TABLE | more
        later_rows(world)
        world.sql(f"update users set name = '{way}', updated_at = now() where id < 3")
        assert_told_and_repaired(
            world, tick(world, load=True, **({way: True} if way in ("full_refresh", "resync") else {}))
        )


def test_a_replay_with_an_older_ledger(memory_world: MemoryWorld) -> None:
    """The error of a row stays open until the row is in the target."""
    world = memory_world
    fill(world)
    tick(world)
    world.sql("update users set balance = 'NaN', updated_at = now() where id = 3")
    tick(world)
    world.sql("update users set balance = 3, updated_at = now() where id = 3")
    later_rows(world)
    with world.engine() as engine:
        [found] = engine.ledger.rejected_rows.listed()
        [report] = engine.replay([found.id]).tables
    assert_told_and_repaired(world, report)


def test_a_full_refresh_of_an_empty_source_deletes_later_rows_too(memory_world: MemoryWorld) -> None:
    """There is no row that the target could refuse: only what must be deleted shows that it is later. The next run
    would empty the target, which a person must confirm."""
    world = memory_world
    fill(world)
    tick(world)
    later_rows(world)
    world.sql("truncate users")
    assert_told_and_repaired(world, tick(world, full_refresh=True), confirm_deletes=True)


def test_a_content_that_is_replaced_as_a_whole(memory_world: MemoryWorld) -> None:
    """The statement that replaces it leaves a later run's content alone, and counts its rows as if they were new."""
    world = memory_world
    world.sql("create table items (name text, v text); insert into items values ('a', 'old'), ('b', 'old')")
    world.tables[:] = [ITEMS]
    tick(world)
    for changed in ("update items set v = 'new'", "truncate items"):
        later_rows(world, "analytics.items")
        world.sql(changed)
        assert_told_and_repaired(world, tick(world))


def test_a_backfill_in_chunks(memory_world: MemoryWorld) -> None:
    """No chunk is copied beside rows of a later run, which would double them."""
    world = memory_world
    world.tables[0] |= {"max_mb_per_chunk": 0.04, "batch_size": 200}
    lose_ledger(world)  # as above
    fill(world, 1_000)
    tick(world)
    later_rows(world)
    lose_ledger(world)
    world.sql("update users set name = 'new', updated_at = now() where id < 3")
    assert_told_and_repaired(world, tick(world))


def test_a_chunk_of_another_process(memory_world: MemoryWorld) -> None:
    """The ledger is replaced while chunks are loaded: the worker that loads the next one finds out."""
    world = memory_world
    world.tables[0] |= {"max_mb_per_chunk": 0.04, "batch_size": 200}
    fill(world, 1_000)
    with world.engine() as engine:
        assert engine.tick(leave_chunks=True).tables[0].chunks_left
        assert engine.take_chunk() is not None
        later_rows(world)
        world.sql("update users set name = 'new', updated_at = now()")
        engine.tick(leave_chunks=True)
        while engine.take_chunk() is not None:
            pass
        engine.tick()
        while engine.take_chunk() is not None:
            pass
        engine.tick()
    world.assert_equal()


def test_an_overtaken_worker_is_no_sign_of_it(memory_world: MemoryWorld) -> None:
    """A worker that lost its table to a later run has lower fences as well. It changes nothing in the ledger."""
    world = memory_world
    fill(world)
    tick(world)
    world.sql("update users set name = 'new', updated_at = now()")

    def overtake(event: Any) -> None:
        if event.phase == "copied" and not overtaken:
            overtaken.append(event)
            world.sql(
                "update sync_watermarks set lease_expires = now() - interval '1s', lease_session = null"
            )
            assert tick(world).status == "ok"

    overtaken: list[Any] = []
    world.tables[0] |= {"load": "stage"}
    with world.engine(overtake) as engine:
        [report] = engine.tick().tables
    assert report.error_type == "LeaseLost"
    world.assert_equal()
    assert tick(world).full_read is None


def test_snowflake_counts_rows_that_a_merge_refused(world: World) -> None:
    """The count of the MERGE itself shows it, on the real service as on the emulator."""
    fill(world)
    with world.engine() as engine:
        engine.tick()
        world.snowflake(f"update analytics.users set {FENCE_COLUMN} = {FENCE_COLUMN} + {A_YEAR}")
        world.sql("update users set name = 'new', updated_at = now() where id < 3")
        reports = [engine.tick().tables[0] for _ in range(3)]
    assert [report.error_type for report in reports] == ["LedgerOutdated", None, None]
    assert reports[1].rows_updated == 5
    world.assert_equal()
