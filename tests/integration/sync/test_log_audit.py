"""With `log_audit_every`, what the log has delivered is compared with the table, by a sample."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pgsnow.model.report import Status, TableReport
from tests.world import MemoryWorld


@pytest.fixture
def users(memory_world: MemoryWorld) -> Iterator[MemoryWorld]:
    """Forty rows in a table that is read from the log."""
    world = memory_world
    world.sql("create publication pgsnow_test for table users")
    world.options["log_publication"] = "pgsnow_test"
    world.tables[0] |= {"mode": "log"}
    world.sql("insert into users (id, name) select i, 'n' || i from generate_series(1, 40) i")
    tick(world)
    tick(world)
    yield world
    world.close_engine()
    world.sql(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = current_database()"
    )


def tick(world: MemoryWorld) -> TableReport:
    with world.engine() as engine:
        [report] = engine.tick().tables
    assert report.error is None
    return report


def pass_a_day(world: MemoryWorld) -> None:
    """Let the last audit have been a day earlier."""
    world.sql(
        "update sync_watermarks set checkpoint = jsonb_set(checkpoint, '{audited_at}', to_jsonb("
        "((checkpoint ->> 'audited_at')::timestamptz - interval '1 day')::text))"
    )


def told(report: TableReport) -> list[str]:
    return [text for text in report.events if text.startswith("log_audit_every")]


def streams(world: MemoryWorld) -> bool:
    [(position,)] = world.sql("select checkpoint -> 'log' from sync_watermarks")
    return position is not None


def test_an_audit_without_a_difference_is_quiet_and_once_a_day(users: MemoryWorld) -> None:
    """A day after the last audit a sample is compared, also while nothing changes. Rows that are written during
    the audit are no difference. Then the table is idle again for a day."""
    world = users
    assert tick(world).status is Status.IDLE
    pass_a_day(world)
    world.sql("update users set name = 'changed' where id < 10")
    world.sql("delete from users where id = 20")
    report = tick(world)
    assert (report.status, told(report), streams(world)) == (Status.OK, [], True)
    assert tick(world).status is Status.IDLE
    pass_a_day(world)
    assert told(tick(world)) == []
    [(seconds,)] = world.sql(
        "select extract(epoch from now() - (checkpoint ->> 'audited_at')::timestamptz) from sync_watermarks"
    )
    assert seconds < 3600
    world.assert_equal()


def test_a_change_that_the_log_did_not_deliver_is_found_told_and_repaired(users: MemoryWorld) -> None:
    """A row that is missing and one that has an older state are loaded again at once. Everything since the last audit
    is then read without the log, which finds what the sample did not show, and the table joins the log again."""
    world = users
    world.sql("update users set name = 'changed' where id in (3, 4)")
    world.sql("insert into users (id, name) values (50, 'new')")
    tick(world)
    rows = world.target().rows
    rows[:] = [row for row in rows if row["ID"] != 50]
    next(row for row in rows if row["ID"] == 3)["NAME"] = "n3"
    world.sql("update sync_watermarks set target_rows = null")
    pass_a_day(world)
    [text] = told(tick(world))
    assert "2 rows differ (1 changed, 1 missing)" in text
    world.assert_equal()
    assert not streams(world)
    next(row for row in rows if row["ID"] == 4)["NAME"] = "n4"  # the sample did not have it
    tick(world)
    world.assert_equal()
    assert streams(world)
    assert tick(world).status is Status.IDLE


def test_a_deletion_that_the_log_did_not_deliver_is_found_one_run_later(users: MemoryWorld) -> None:
    """A key that the target alone has may be deleted later than the log was read to, so it is judged by the next run:
    a deletion that the log shows by then is no difference, another one is."""
    world = users
    world.target().rows.append({**world.target().rows[0], "ID": 77})
    world.sql("update sync_watermarks set target_rows = null")
    pass_a_day(world)
    assert told(tick(world)) == []
    assert streams(world)
    [text] = told(tick(world))
    assert "1 row differs (1 ghost)" in text
    assert text.endswith("without the log")
    world.assert_equal()
    tick(world)
    assert streams(world)
    world.assert_equal()
