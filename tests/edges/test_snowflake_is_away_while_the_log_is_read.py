"""Snowflake is away for hours while tables are read from the log.

Group: account
Danger: the replication slot keeps the log of all these hours, and fills the source's disk.
Answer: while a warehouse is refused, each tick stages what the log shows, which frees the slot, and tries to load it;
with `load: s3`, and with `log_spool_dir`, that goes on while Snowflake cannot be reached. With neither, the slot is
given up at `max_retained_wal`, and the tables are read in the ordinary way afterwards. Nothing is lost in any of these
cases.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pgsnow.model.report import Status, TableReport
from pgsnow.operations.log.setup import set_up
from pgsnow.testing.proxy import FaultProxy
from tests.world import World

QUOTA = "Warehouse 'WH' cannot be resumed because resource monitor 'RM' has exceeded its quota."
NOTES = {"source": "public.notes", "target": "analytics.notes", "mode": "log", "pk": "id"}
MUCH = "select pg_logical_emit_message(false, 'noise', repeat('x', 8000000))"


@pytest.fixture
def away(world: World) -> Iterator[World]:
    """Two tables that are read from the log, of which one has a long text that is stored apart."""
    world.sql("create table notes (id int primary key, n int, text text)")
    world.sql("alter table notes alter text set storage external")
    world.sql("create publication pgsnow_test for table users, notes")
    world.options["log_publication"] = "pgsnow_test"
    world.tables = [world.tables[0] | {"mode": "log"}, dict(NOTES)]
    world.sql("insert into users (id, name) select i, 'n' || i from generate_series(1, 30) i")
    world.sql("insert into notes select i, i, repeat('long', 1000) || i from generate_series(1, 30) i")
    yield world
    world.close_engine()
    world.emulator.answer_with()
    world.sql(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = current_database()"
    )


def tick(world: World) -> dict[str, TableReport]:
    """An unnamed tick, which keeps the pauses after failures, as scheduled ones do."""
    with world.engine() as engine:
        return {table.table.removeprefix("public."): table for table in engine.tick().tables}


def change(world: World, number: int) -> None:
    """Rows of each table are added, changed and deleted; long texts stay as they were."""
    world.sql(f"insert into users (id, name) values ({1000 + number}, 'new')")
    world.sql(f"delete from users where id = {number}")
    world.sql(f"update notes set n = {number} + 100 where id in ({number}, {number} + 1, 30)")
    world.sql(f"update notes set id = {2000 + number} where id = {number}")


def joined(world: World) -> None:
    """Both tables are read from the log, and equal."""
    change(world, 1)
    tick(world)
    change(world, 2)
    assert [report.error for report in tick(world).values() if report.error] == []
    world.assert_equal()


def recovered(world: World) -> dict[str, TableReport]:
    """The tick after the outage: everything is loaded."""
    reports = tick(world)
    assert [report.error for report in reports.values() if report.error] == []
    world.assert_equal()
    return reports


def waiting(world: World) -> list[int]:
    """Staged batches of each table."""
    found = world.sql(
        "select jsonb_array_length(coalesce(staged, '[]')) from sync_watermarks order by source_table"
    )
    return [int(count) for (count,) in found]


def unread(world: World) -> int:
    """Bytes of log that the slot was not confirmed to."""
    [(size,)] = world.sql(
        "select pg_current_wal_insert_lsn() - confirmed_flush_lsn from pg_replication_slots"
        " where database = current_database()"
    )
    return int(size)


def test_a_refused_warehouse_does_not_hold_the_slot(away: World) -> None:
    """Each scheduled tick stages what was changed and confirms the slot, however often the load was refused; when the
    warehouse is back, all of it is loaded, also after a TRUNCATE and with texts that did not change."""
    joined(away)
    name = away.settings.snowflake.database
    away.emulator.answer_with(
        *(
            {"containing": verb, "errno": 90073, "sqlstate": "22000", "message": QUOTA, "database": name}
            for verb in ("MERGE", "COPY INTO", "INSERT INTO", "UPDATE ", "DELETE FROM")
        )
    )
    for number in range(3, 6):
        if number == 4:
            away.sql("truncate users; insert into users (id, name) values (4, 'after')")
        change(away, number)
        away.sql(MUCH)
        reports = tick(away)
        assert {report.error_type for report in reports.values()} == {"CreditsUsedUp"}
        assert waiting(away) == [number - 2] * 2
        assert unread(away) < 1_000_000
    away.emulator.answer_with()
    reports = recovered(away)
    assert not [text for report in reports.values() for text in report.events if "without the log" in text]


def test_with_a_bucket_the_slot_is_free_while_snowflake_cannot_be_reached(
    away: World, s3_env: dict[str, str]
) -> None:
    """The changes of each tick are in the bucket, whatever earlier ticks have left to clean up in Snowflake."""
    away.through(s3_env)
    for table in away.tables:
        table["load"] = "s3"
    with FaultProxy(int(away.env["SNOWFLAKE_PORT"])) as proxy:
        away.through({"SNOWFLAKE_PORT": str(proxy.port)})
        joined(away)
        away.close_engine()
        proxy.behave(refuse=True)
        for number in range(3, 5):
            change(away, number)
            away.sql(MUCH)
            assert {report.error_type for report in tick(away).values()} == {"TargetUnavailable"}
            assert waiting(away) == [number - 2] * 2
            assert unread(away) < 1_000_000
        proxy.heal()
        recovered(away)


@pytest.mark.thorough
def test_with_a_folder_the_slot_is_free_while_snowflake_cannot_be_reached(away: World) -> None:
    """The changes of each tick are on a volume, and are uploaded and loaded when Snowflake is back, whose stage may
    have been dropped meanwhile."""
    away.options["log_spool_dir"] = str(away.folder / "kept")
    set_up(away.config, away.settings, holder="me@here")
    with FaultProxy(int(away.env["SNOWFLAKE_PORT"])) as proxy:
        away.through({"SNOWFLAKE_PORT": str(proxy.port)})
        joined(away)
        away.close_engine()
        proxy.behave(refuse=True)
        for number in range(3, 5):
            change(away, number)
            away.sql(MUCH)
            reports = tick(away)
            assert {report.error_type for report in reports.values()} == {"TargetUnavailable"}
            assert all(any("kept" in text for text in report.events) for report in reports.values())
            assert waiting(away) == [number - 2] * 2
            assert unread(away) < 1_000_000
        proxy.heal()
        away.snowflake("DROP STAGE ANALYTICS.PGSNOW_STAGE")
        reports = recovered(away)
        assert not [
            text for report in reports.values() for text in report.events if "without the log" in text
        ]
    assert not list((away.folder / "kept").rglob("*.parquet"))


def test_without_a_bucket_the_slot_is_given_up_before_the_disk_is_full(away: World) -> None:
    """Log that cannot be staged is read again only now and then; beyond `max_retained_wal` the slot is dropped, and the
    tables are read in the ordinary way when Snowflake is back, and then from the log again."""
    away.options["max_retained_wal"] = "12MB"
    with FaultProxy(int(away.env["SNOWFLAKE_PORT"])) as proxy:
        away.through({"SNOWFLAKE_PORT": str(proxy.port)})
        joined(away)
        away.close_engine()
        proxy.behave(refuse=True)
        change(away, 3)
        assert {report.status for report in tick(away).values()} == {Status.ERROR}
        assert waiting(away) == [0, 0]
        [(held,)] = away.sql("select figures->'held_at' from sync_slots")
        assert held
        away.sql("update sync_slots set figures = figures || '{\"seconds\": 60}'")
        assert {report.status for report in tick(away).values()} == {Status.ERROR}
        assert away.sql("select figures->'held_at' from sync_slots") == [(held,)], "the log was read again"
        away.sql(f"{MUCH}; {MUCH}")
        change(away, 4)
        tick(away)
        assert away.sql("select generation, why ~ 'max_retained_wal' from sync_slots") == [(2, True)]
        assert unread(away) < 1_000_000
        change(away, 5)
        proxy.heal()
        reports = recovered(away)
        assert [text for report in reports.values() for text in report.events if "without the log" in text]
        change(away, 6)
        reports = recovered(away)
        assert not [
            text for report in reports.values() for text in report.events if "without the log" in text
        ]
