"""A tick pays nothing for idle tables, keeps one table's failure to itself, and moves no checkpoint too early.

The target is in memory; test_loader_promises.py ties it to Snowflake's, and test_tick.py has what needs Snowflake.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from pgsnow.model.errors import ConfigError
from pgsnow.model.report import Status
from pgsnow.sync.engine import Engine
from pgsnow.sync.runtime.events import Event
from tests.integration.sync.test_tick import SOME
from tests.world import USERS_TABLE, MemoryWorld


@pytest.fixture
def world(memory_world: MemoryWorld) -> MemoryWorld:
    return memory_world


def test_an_idle_tick_opens_no_connection_to_snowflake_and_says_idle(world: MemoryWorld) -> None:
    world.sql(SOME.format(1, 10))
    with world.engine() as engine:
        engine.tick()
        before = world.warehouse.connections
        report = engine.tick()
        assert report.tables[0].status is Status.IDLE
        assert world.warehouse.connections == before
    ((status, errors),) = world.sql("select last_status, last_error from sync_watermarks")
    assert (status, errors) == ("idle", None)


def test_an_empty_table_has_an_empty_target_and_is_idle_from_then_on(world: MemoryWorld) -> None:
    with world.engine() as engine:
        assert engine.tick().tables[0].status is Status.IDLE
        assert world.target().rows == []
        before = world.warehouse.connections
        engine.tick()
        assert world.warehouse.connections == before


def test_a_watermark_of_the_last_instant_stops_nothing(world: MemoryWorld) -> None:
    """Half a second later there is no date for Python. Nothing is read again because of that."""
    world.sql("insert into users values (1, 'a', 1, '{}', '9999-12-31 23:59:59.999999+00')")
    with world.engine() as engine:
        engine.tick()
        world.sql("update users set name = 'b'")
        report = engine.tick().tables[0]
    assert (report.status, report.full_read, report.rows_updated) == (Status.OK, None, 1)


def test_one_failing_table_leaves_the_others_running(world: MemoryWorld) -> None:
    world.sql(SOME.format(1, 10))
    world.sql(
        "create table orders (id int primary key, updated_at timestamptz default now()); insert into orders values (1)"
    )
    world.tables = [
        dict(USERS_TABLE),
        {**USERS_TABLE, "source": "public.nowhere", "target": "analytics.nowhere"},
        {**USERS_TABLE, "source": "public.orders", "target": "analytics.orders"},
    ]
    with world.engine() as engine:
        report = engine.tick()
    assert [t.status for t in report.tables] == [Status.OK, Status.ERROR, Status.OK]
    assert "public.nowhere" in (report.tables[1].error or "")
    assert report.metrics()["sync_success_count"] == 2
    assert report.metrics()["sync_failure_count"] == 1
    assert not report.transient
    rows = world.sql(
        "select last_status, last_error from sync_watermarks where source_table = 'public.nowhere'"
    )
    assert rows[0][0] == "error"
    assert "public.nowhere" in rows[0][1]


def test_a_long_read_is_cut_into_load_units(world: MemoryWorld) -> None:
    world.tables[0] |= {"max_rows_per_load": 1000}
    world.sql(SOME.format(1, 3500))
    with world.engine() as engine:
        report = engine.tick().tables[0]
    assert report.load_units == 4
    assert report.rows_inserted == 3500
    world.assert_equal()
    assert world.leftovers() == []


def test_the_plans_literal_reader_is_available_with_ties_fixed(world: MemoryWorld) -> None:
    world.tables[0] |= {"late_rows": "off", "batch_size": 100, "max_rows_per_load": 250}
    world.sql(SOME.format(1, 1000))
    with world.engine() as engine:
        report = engine.tick().tables[0]
        assert report.rows_inserted == 1000
        assert report.load_units > 1
        world.sql(SOME.format(1001, 1005))
        assert engine.tick().tables[0].rows_read == 5
        assert engine.tick().tables[0].status is Status.IDLE
    world.assert_equal()


def test_a_second_tick_of_the_same_beat_does_nothing(world: MemoryWorld) -> None:
    world.sql(SOME.format(1, 10))
    with world.engine() as engine:
        assert engine.tick(due_only=True).tables[0].status is Status.OK
        again = engine.tick(due_only=True).tables[0]
        assert again.status is Status.NOT_DUE
        assert "not due" in (again.error or "")
        assert engine.tick().tables[0].status is Status.IDLE


def test_a_table_taken_by_another_run_is_left_alone_and_its_holder_named(world: MemoryWorld) -> None:
    world.sql(SOME.format(1, 10))
    with world.engine() as other:
        other.ledger.migrate()
        other.ledger.leases.claim(["public.users"], run_id="r", holder="elsewhere:1")
        with world.engine() as engine:
            report = engine.tick().tables[0]
        assert report.status is Status.LOCKED
        assert "elsewhere:1" in (report.error or "")


def test_a_run_that_lost_its_lease_moves_no_checkpoint(world: MemoryWorld) -> None:
    world.tables[0]["load"] = "stage"
    world.sql(SOME.format(1, 10))

    def lose_it(event: Event) -> None:
        if event.phase == "copied":
            world.sql("update sync_watermarks set fence = fence + 1")

    with world.engine(lose_it) as engine:
        report = engine.tick().tables[0]
    assert report.status is Status.LOCKED
    assert report.error_type == "LeaseLost"
    assert world.sql("select checkpoint from sync_watermarks") == [(None,)]
    with world.engine() as engine:
        engine.tick()
    world.assert_equal()
    assert world.leftovers() == []


def test_asked_to_stop_a_run_keeps_nothing_half_done(world: MemoryWorld) -> None:
    world.sql(SOME.format(1, 1000))
    world.sql("update users set name = repeat('x', 10000)")  # more than one batch
    engines: list[Engine] = []

    def stop(event: Event) -> None:
        if event.phase == "page":
            engines[0].stop()

    with world.engine(stop) as engine:
        engines.append(engine)
        report = engine.tick().tables[0]
    assert report.status is Status.STOPPED
    with world.engine() as engine:
        assert engine.tick().tables[0].rows_inserted == 1000
    world.assert_equal()


def test_a_row_committed_late_under_an_older_watermark_arrives(world: MemoryWorld) -> None:
    import psycopg

    with psycopg.connect(world.env["POSTGRES_DSN"]) as slow, world.engine() as engine:
        slow.execute("insert into users (id, name) values (1, 'slow')")
        world.sql("insert into users (id, name) values (2, 'quick')")
        engine.tick()
        slow.commit()
        engine.tick()
    world.assert_equal()


def test_unknown_tables_are_refused_by_name(world: MemoryWorld) -> None:
    with world.engine() as engine, pytest.raises(ConfigError, match=r"public\.userz"):
        engine.tick(["public.userz"])


def test_the_run_log_tells_what_a_run_did(world: MemoryWorld) -> None:
    world.sql(SOME.format(1, 5))
    with world.engine() as engine:
        report = engine.tick()
    ((run_id, status, read, inserted, size, queries),) = world.sql(
        "select run_id, status, rows_read, rows_inserted, bytes_staged, cardinality(query_ids) from sync_logs"
    )
    assert (run_id, status, read, inserted) == (report.run_id, "ok", 5, 5)
    assert size > 0
    assert queries > 0


def test_two_engines_at_once_share_the_work_without_doubling_it(world: MemoryWorld) -> None:
    world.sql(SOME.format(1, 500))
    with world.engine() as one, world.engine() as two:
        one.ledger.migrate()
        threads = [threading.Thread(target=engine.tick) for engine in (one, two)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    world.assert_equal()
    assert world.leftovers() == []


@pytest.mark.parametrize(
    "change",
    [
        {"target": "analytics.people"},
        {"where": "id > 10"},
        {"columns": {}},
        {"transform": {"set_null": ["profile"]}},
    ],
)
def test_rows_loaded_under_another_configuration_are_loaded_again(
    world: MemoryWorld, change: dict[str, Any]
) -> None:
    world.tables[0] |= {"columns": {"exclude": ["balance"]}, "where": "id > 20"}
    world.sql(SOME.format(1, 30))
    with world.engine() as engine:
        engine.tick()
    world.tables[0] |= change
    with world.engine() as engine:
        report = engine.tick().tables[0]
        assert report.full_read == "the configuration changed"
        assert engine.tick().tables[0].status is Status.IDLE
    assert len(world.target(world.tables[0]["target"]).rows) == (20 if "where" in change else 10)
    world.assert_equal(cells={"profile": "null"} if "transform" in change else {})


def test_a_server_put_back_to_an_older_state_is_read_in_full_and_followed_from_there(
    world: MemoryWorld,
) -> None:
    """A restored disk image: the same server, and transaction ids that were given out before."""
    world.sql(SOME.format(1, 10))
    with world.engine() as engine:
        engine.tick()
        world.sql("update sync_watermarks set checkpoint = jsonb_set(checkpoint, '{x}', '4000000000')")
        report = engine.tick().tables[0]
        assert "went back" in (report.full_read or "")
        assert report.status is Status.OK
        world.sql(SOME.format(11, 12))
        assert engine.tick().tables[0].rows_inserted == 2
    world.assert_equal()


def test_a_long_read_piles_up_neither_part_files_nor_staging(
    world: MemoryWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGSNOW_SPOOL_DIR", str(tmp_path / "spool"))
    world.tables[0] |= {"max_rows_per_load": 100, "batch_size": 100, "load": "stage"}
    world.sql(SOME.format(1, 500))
    files: list[int] = []
    staged: list[int] = []

    def look(event: Event) -> None:
        if event.phase == "copied":
            files.append(len(list((tmp_path / "spool").rglob("*.parquet"))))
            staged.append(len(world.leftovers()))

    with world.engine(look) as engine:
        assert engine.tick().tables[0].load_units == 5
    assert set(files) == {1}
    assert staged == [staged[0]] * 5
    assert world.leftovers() == []
    assert list((tmp_path / "spool").iterdir()) == []
