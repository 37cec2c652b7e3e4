"""`load_every`: when what waits is loaded, and that nothing of it is lost or overtaken.

The target is in memory; test_deferred.py has what needs Snowflake or a bucket.
"""

from __future__ import annotations

from typing import Any

import pytest

from pgsnow.testing.faults import RaiseAt
from tests.integration.sync.test_deferred import begun, change, fifty_days_go_by, load, staged_rows, tick
from tests.world import MemoryWorld


@pytest.fixture
def staging(memory_world: MemoryWorld) -> MemoryWorld:
    """Users whose first load is done; what changes from now on is not due while the test runs."""
    begun(memory_world, "stage")
    return memory_world


def test_a_due_tick_loads_what_has_just_changed_along_with_what_waited(staging: MemoryWorld) -> None:
    """So does a person, at any time; and so does a tick of a table that defers no more."""
    change(staging, "waits")
    tick(staging)
    fifty_days_go_by(staging)
    staging.sql("insert into users values (101, 'added', 1)")
    report = tick(staging)
    assert (report.rows_read, report.rows_updated, report.rows_inserted) == (1, 10, 1)
    change(staging, "asked for")
    assert load(staging).rows_updated == 10
    before = len(staging.warehouse.calls)
    assert load(staging).status == "idle"
    assert len(staging.warehouse.calls) == before
    change(staging, "waits")
    tick(staging)
    staging.tables[0]["load_every"] = 0
    assert tick(staging).rows_updated == 10
    staging.assert_equal()
    assert staging.leftovers() == []


def test_enough_rows_do_not_wait_for_the_time(staging: MemoryWorld) -> None:
    """And no MERGE applies more than max_rows_per_load, in the order in which the rows were read."""
    plain = dict(staging.tables[0])
    for limit in ({"load_when_rows": 15}, {"max_rows_per_load": 15}):
        staging.tables[0] = plain | limit
        change(staging, "first")
        assert tick(staging).rows_updated == 0, limit
        change(staging, "second")
        assert tick(staging).rows_updated >= 10, limit
        assert staged_rows(staging) == 0
    staging.tables[0] = plain | {"max_rows_per_load": 40, "batch_size": 20}
    change(staging, "all", "true")
    report = tick(staging)
    assert (report.rows_updated, report.load_units) == (100, 3)
    staging.assert_equal()
    assert staging.leftovers() == []


def test_rows_that_commit_late_are_staged_too(staging: MemoryWorld) -> None:
    """The window begins where the reading is, whatever has been loaded."""
    import psycopg

    with psycopg.connect(staging.env["POSTGRES_DSN"]) as slow:
        slow.execute("update users set name = 'late', updated_at = now() where id = 50")
        for name in ("first", "second"):
            change(staging, name)
            tick(staging)
        slow.commit()
    assert tick(staging).rows_read >= 1
    assert load(staging).rows_updated == 11
    staging.assert_equal()


def test_rows_that_wait_when_the_table_is_altered_are_loaded_as_they_were_staged(
    staging: MemoryWorld,
) -> None:
    """Before the target follows: what a dropped column held last is not lost."""
    change(staging, "waits")
    tick(staging)
    staging.sql("alter table users add column mood text")
    staging.sql("update users set mood = 'good', updated_at = now() where id = 1")
    assert tick(staging).rows_updated == 11
    assert staged_rows(staging) == 0
    staging.assert_equal()
    change(staging, "later")
    assert tick(staging).rows_updated == 0
    staging.sql("alter table users drop column name")
    tick(staging)
    assert {row["NAME"] for row in staging.target().rows if row["ID"] <= 10} == {"later"}
    staging.assert_equal()


def test_whoever_reads_everything_goes_over_what_waits_and_leaves_no_ghost(staging: MemoryWorld) -> None:
    asked: tuple[dict[str, Any], ...] = ({"full_refresh": True}, {"resync": True}, {})
    for number, ask in enumerate(asked):
        change(staging, f"waits {number}")
        tick(staging)
        staging.sql(f"delete from users where id % 10 = {number}")
        if not ask:
            staging.tables[0] |= {"target": "analytics.people"}
        with staging.engine() as engine:
            [report] = engine.tick(**ask).tables
        assert report.full_read is not None
        assert staged_rows(staging) == 0
        staging.assert_equal()
        assert staging.leftovers() == []


def test_a_replayed_row_is_not_overwritten_by_an_older_version_that_waited(staging: MemoryWorld) -> None:
    staging.tables[0]["transform"] = "tests.integration.sync.refusing:refuse_bad_names"
    tick(staging)
    change(staging, "fine", "id = 1")
    tick(staging)
    change(staging, "bad", "id = 1")
    assert tick(staging).rows_rejected == 1
    staging.sql("update users set name = 'mended' where id = 1")
    with staging.engine() as engine:
        (error,) = engine.ledger.rejected_rows.listed()
        assert not engine.replay([error.id]).failures
    change(staging, "other", "id = 2")
    tick(staging)
    load(staging)
    staging.assert_equal()


def test_more_batches_than_one_statement_can_name_are_loaded_by_several(
    staging: MemoryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them is exact by itself: a run that is killed between two of them loses and doubles nothing."""
    monkeypatch.setattr("pgsnow.model.deferred_batch.MOST_BATCHES", 2)
    for name in ("first", "second", "third", "fourth", "fifth"):
        change(staging, name)
        tick(staging)
    with (
        pytest.raises(KeyboardInterrupt),
        staging.engine(RaiseAt("merged", KeyboardInterrupt(), nth=2)) as engine,
    ):
        engine.tick(load=True)
    report = load(staging)
    # The first of them changes nothing: the fence of the second, which was loaded, is higher.
    assert (report.load_units, report.rows_updated, staged_rows(staging)) == (3, 20, 0)
    staging.assert_equal()
    assert staging.leftovers() == []
