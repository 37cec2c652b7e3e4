"""`mode: log`: a run that reads a table without the log says why, in its events, in the ledger and in the status."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest

from pgsnow.model.errors import TargetUnavailable
from pgsnow.model.report import TableReport
from pgsnow.operations.status.summary import status_of
from pgsnow.sync.stream import slot_reader
from pgsnow.testing.faults import RaiseAt
from tests.progress import wait_until
from tests.world import MemoryWorld

AN_HOUR = 3600.0
"""A tick that waited so long would never end here."""


@pytest.fixture
def world(memory_world: MemoryWorld) -> Iterator[MemoryWorld]:
    world = memory_world
    world.sql("create table one (id int primary key, v text); create table two (id int primary key, v text)")
    world.sql("insert into one values (1, 'a'); insert into two values (1, 'a'), (2, 'b')")
    world.sql("create publication p for table one")
    world.options["log_publication"] = "p"
    world.tables = [
        {
            "source": f"public.{name}",
            "target": f"analytics.{name}",
            "mode": "log",
            "pk": "id",
            "max_delete_share": 1,
        }
        for name in ("one", "two")
    ]
    yield world
    world.close_engine()
    world.sql(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = current_database()"
    )


def tick(world: MemoryWorld) -> dict[str, TableReport]:
    with world.engine() as engine:
        reports = {
            report.table.removeprefix("public."): report for report in engine.tick(requested=True).tables
        }
    assert [report.error for report in reports.values() if report.status == "error"] == []
    return reports


def why(world: MemoryWorld, report: TableReport) -> str | None:
    """The reason, which is the same everywhere; None: the table is read from the log."""
    with world.engine() as engine:
        status = status_of(world.config, engine.ledger, datetime.now(UTC))
    [table] = [table for table in status["tables"] if table["table"] == report.table]
    found = report.without_log
    assert table["without_log"] == found
    assert (found is not None) == ("read without the log" in table["why"])
    assert (found is None) == ("from now on, changes are read from the log" in report.events)
    if found is not None:
        assert f"read without the log: {found}" in report.events
        assert f"read without the log: {found}" in table["why"]
    return found


def test_a_run_without_the_log_says_why(world: MemoryWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """An open transaction keeps the slot from being made: its process is named, and only the first tick waits for it.
    Then: a table that is not published, a transaction that no snapshot shows as ended, a search for deleted rows that
    was put off."""
    with psycopg.connect(world.env["POSTGRES_DSN"]) as app:
        app.execute("insert into two values (3, 'c')")
        for seconds in (0.2, AN_HOUR):
            monkeypatch.setattr(slot_reader, "CREATE_SECONDS", seconds)
            for report in tick(world).values():
                found = why(world, report)
                assert found is not None
                assert f"the oldest is pid {app.info.backend_pid}" in found
                assert "open for" in found
        app.rollback()
        joined = tick(world)
        assert why(world, joined["one"]) is None
        assert why(world, joined["two"]) == "the publication does not have it"

        world.sql("alter publication p add table two")
        app.execute("insert into one values (5, 'e')")
        ((xid,),) = app.execute("select txid_current()::bigint & 4294967295").fetchall()
        world.sql(f"update sync_slots set unsettled = '[{xid}]'")
        found = why(world, tick(world)["two"])
        assert found is not None
        assert f"the oldest open one is pid {app.info.backend_pid} " in found
        app.commit()

    world.sql("delete from two where id = 1")
    world.sql(
        "update sync_watermarks set sweep = sweep || jsonb_build_object('tried_seconds', 1000,"
        " 'tried_at', extract(epoch from now())) where source_table = 'public.two'"
    )
    expected = "deleted rows must be found first (the log does not show what was deleted)"
    assert why(world, tick(world)["two"]) == expected
    world.sql("update sync_watermarks set sweep = sweep - 'tried_at' where source_table = 'public.two'")
    assert why(world, tick(world)["two"]) is None
    world.assert_equal()


def test_a_run_that_ended_before_its_table_joined_does_not_hold_the_slot(world: MemoryWorld) -> None:
    """A run that fails while its table joins leaves its reservation; the slot moves on although the table is paused
    then, so that no later run takes it back."""
    world.tables = world.tables[:1]
    tick(world)
    world.sql(
        "update sync_watermarks set checkpoint = checkpoint - 'log', paused = true;"
        " update sync_slots set joins = (select jsonb_build_object(source_table, jsonb_build_array(1, fence))"
        " from sync_watermarks)"
    )
    world.sql("create table three (id int primary key); alter publication p add table three")
    world.tables.append({"source": "public.three", "target": "analytics.three", "mode": "log", "pk": "id"})
    tick(world)
    tick(world)
    ((before,),) = world.sql("select confirmed from sync_slots")
    world.sql("insert into three values (1)")
    tick(world)
    assert world.sql(f"select confirmed > {before} and confirmed > 1 from sync_slots") == [(True,)]


def test_a_search_that_failed_comes_by_itself_and_its_rows_are_told_until_then(world: MemoryWorld) -> None:
    """A TRUNCATE falls into a gap of the log, and the search for the deleted rows fails. The next search comes without
    a request, after twenty times as long as the first one took; until it is complete, the status says that deletes are
    pending, and the table stays out of the log."""
    world.tables = world.tables[:1]
    world.sql("insert into one select i, 'x' from generate_series(2, 700) i")
    tick(world)
    world.sql("update sync_watermarks set checkpoint = checkpoint - 'log'; truncate one")
    world.sql("insert into one values (1, 'again')")
    with world.engine(RaiseAt("compared", TargetUnavailable("gone"))) as engine:
        [failed] = engine.tick(requested=True).tables
    assert failed.error is not None
    assert len(world.differences()["public.one"]) == 699
    [(tried_at,)] = world.sql("select (sweep ->> 'tried_at')::float8 from sync_watermarks")
    assert tried_at > 0

    def is_found() -> bool:
        """One more tick without a requested search: it finds the rows, or the status says that deletes are pending."""
        [report] = tick(world).values()
        joined = "from now on, changes are read from the log" in report.events
        with world.engine() as engine:
            [table] = status_of(world.config, engine.ledger, datetime.now(UTC))["tables"]
        assert joined or table["deletes_pending_since"] is not None
        assert not joined or world.differences() == {"public.one": []}
        return joined

    wait_until(is_found, "the rows of before the TRUNCATE are found")
