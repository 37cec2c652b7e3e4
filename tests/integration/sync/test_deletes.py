"""Rows that are deleted in the source leave the target, and no row that exists does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pgsnow.model.errors import TargetUnavailable
from pgsnow.model.metadata_columns import FENCE_COLUMN
from pgsnow.model.report import Status, TableReport
from pgsnow.sync.runtime.events import Event
from pgsnow.testing.faults import AtPhase, RaiseAt
from tests.world import MemoryWorld

ALWAYS = {"sweep_every": "1ms", "sweep_share": "100%"}
"""Each tick searches for deleted rows."""


def tick(world: MemoryWorld, observer: Callable[[Event], None] | None = None, **options: Any) -> TableReport:
    with world.engine(*([observer] if observer else [])) as engine:
        return engine.tick(**options).tables[0]


def ids(world: MemoryWorld) -> list[Any]:
    return sorted(row["ID"] for row in world.target().rows)


@pytest.fixture
def users(memory_world: MemoryWorld) -> MemoryWorld:
    """Ten users are loaded; each tick searches for deleted rows."""
    memory_world.tables[0] |= ALWAYS
    memory_world.sql("insert into users select g, 'user ' || g from generate_series(1, 10) g")
    assert tick(memory_world).status is Status.OK
    return memory_world


def test_deleted_rows_leave_the_target_within_a_tick(users: MemoryWorld) -> None:
    """Together with what changed; the report, the events and sync_logs have their number."""
    users.sql("delete from users where id in (3, 7)")
    users.sql("insert into users values (11, 'new')")
    report = tick(users)
    assert (report.status, report.rows_inserted, report.rows_deleted) == (Status.OK, 1, 2)
    assert "deleted 2 rows that are gone from the source" in report.events
    logged = (
        "select rows_deleted, ranges_compared > 0, sweep_seconds > 0 from sync_logs order by started_at desc"
    )
    assert users.sql(logged)[0] == (2, True, True)
    users.assert_equal()


def test_counters_make_a_search_due_and_nothing_is_sent_otherwise(memory_world: MemoryWorld) -> None:
    """Without `sweep_every`, a delete that the source's statistics show is found by the next tick; a tick in which
    nothing was deleted sends nothing."""
    memory_world.sql("insert into users select g, 'user ' || g from generate_series(1, 10) g")
    tick(memory_world)
    tick(memory_world)
    calls = len(memory_world.warehouse.calls)
    assert tick(memory_world).status is Status.IDLE
    assert len(memory_world.warehouse.calls) == calls
    memory_world.sql("delete from users where id = 5")
    memory_world.sql("select pg_stat_force_next_flush()")
    assert tick(memory_world).rows_deleted == 1
    memory_world.assert_equal()


def test_a_changed_key_leaves_no_old_row(users: MemoryWorld) -> None:
    """An update of the key is a new row and a deleted one."""
    users.sql("update users set id = 100, updated_at = now() where id = 1")
    assert tick(users).rows_deleted == 1
    users.assert_equal()


def test_nothing_is_deleted_with_deletes_off(users: MemoryWorld) -> None:
    """The rows stay, and nothing is compared."""
    users.tables[0] |= {"deletes": "off"}
    users.sql("delete from users where id = 1")
    report = tick(users)
    assert (report.rows_deleted, report.ranges_compared) == (0, 0)
    assert ids(users) == list(range(1, 11))


def test_rows_that_leave_the_selection_are_deleted_if_deletes_is_set(users: MemoryWorld) -> None:
    """With `where`, a row that no longer matches is one that the source does not have."""
    users.tables[0] |= {"deletes": "hard", "where": "name <> 'gone'"}
    tick(users)
    users.sql("update users set name = 'gone' where id = 2")
    assert tick(users).rows_deleted == 1
    assert 2 not in ids(users)


def test_a_row_that_comes_back_during_the_search_stays(users: MemoryWorld) -> None:
    """Deleted before the read and inserted again before the search: it is not deleted, and the search stays due."""
    users.sql("delete from users where id = 4")

    def insert(event: Event) -> None:
        if event.phase == "checkpointed":
            users.sql("insert into users values (4, 'back')")

    report = tick(users, insert)
    assert report.rows_deleted == 0
    assert 4 in ids(users)
    assert users.sql("select sweep ->> 'pending_since' is not null from sync_watermarks") == [(True,)]
    tick(users)
    users.assert_equal()


def test_a_row_that_comes_back_after_the_search_is_read_again(users: MemoryWorld) -> None:
    """Its old version is deleted, and the next tick has the new one."""
    users.sql("delete from users where id = 4")

    def insert(event: Event) -> None:
        if event.phase == "compared":
            users.sql("insert into users values (4, 'back')")

    assert tick(users, insert).rows_deleted == 1
    tick(users)
    users.assert_equal()


def test_an_insert_does_not_hide_a_deleted_row(users: MemoryWorld) -> None:
    """Rows that appear between the read and the search keep the number of rows the same."""
    users.sql("delete from users where id = 4")

    def insert(event: Event) -> None:
        if event.phase == "checkpointed":
            users.sql("insert into users values (20, 'new')")

    assert tick(users, insert).rows_deleted == 1
    tick(users)
    users.assert_equal()


def test_keys_of_every_type(memory_world: MemoryWorld) -> None:
    """The key's columns may have any type that a key may have."""
    memory_world.tables[0] |= {
        "source": "public.things",
        "pk": ["n", "t", "d", "m", "b", "u", "day"],
        **ALWAYS,
    }
    memory_world.sql(
        "create table things (n int, t text, d numeric(9,2), m timestamptz, b bytea, u uuid, day date,"
        " updated_at timestamptz default now(), primary key (n, t, d, m, b, u, day));"
        "insert into things select g, 'Käse, \"' || g || '''\\', g / 4.0 - 3, now() + g * interval '0.5 s',"
        " decode(md5(g::text), 'hex'), md5(g::text)::uuid, '1969-12-25'::date + g from generate_series(1, 9) g"
    )
    tick(memory_world)
    memory_world.sql("delete from things where n in (2, 5)")
    assert tick(memory_world).rows_deleted == 2
    memory_world.assert_equal()


def test_many_rows_are_deleted_through_a_staging_table(users: MemoryWorld) -> None:
    """More keys than one statement names. Their number was confirmed."""
    users.sql("insert into users select g, 'user ' || g from generate_series(11, 3000) g")
    tick(users)
    users.sql("delete from users where id > 100 and id % 2 = 0")
    assert tick(users).error_type == "DeletesUnconfirmed"
    assert tick(users, confirm_deletes=True).rows_deleted == 1450
    users.assert_equal()
    assert users.leftovers() == []


def test_rejected_rows(users: MemoryWorld) -> None:
    """A rejected row keeps its older version as long as the source has it. Once that is deleted, so is the older
    version, and the error is closed; the counts of other rows are not disturbed."""
    users.sql("alter table users add column day date")
    tick(users)
    users.sql("update users set day = 'infinity', updated_at = now() where id in (1, 2)")
    users.sql("insert into users (id, day) values (30, 'infinity')")
    users.sql("delete from users where id = 9")
    report = tick(users)
    assert (report.rows_rejected, report.rows_deleted) == (3, 1)
    assert ids(users) == [1, 2, 3, 4, 5, 6, 7, 8, 10]
    users.sql("delete from users where id in (1, 30)")
    assert tick(users).rows_deleted == 1
    assert ids(users) == [2, 3, 4, 5, 6, 7, 8, 10]
    assert users.sql("select key ->> 'id' from sync_errors where state = 'open'") == [("2",)]


def test_a_key_that_is_hashed(users: MemoryWorld) -> None:
    """Its values differ on both sides, so all keys are compared; no key is in any event."""
    users.tables[0] |= {"source": "public.mails", "target": "analytics.mails", "pk": "mail"}
    users.tables[0]["transform"] = {"hash": ["mail"], "salt": "pepper"}
    users.sql("create table mails (mail text primary key, updated_at timestamptz default now())")
    users.sql("insert into mails select g || '@example.org' from generate_series(1, 9) g")
    tick(users)
    users.sql("delete from mails where mail like '4%'")
    report = tick(users)
    assert report.rows_deleted == 1
    assert "example.org" not in "".join(report.events)
    assert len(users.target("analytics.mails").rows) == 8


def keep_odd(row: dict[str, Any]) -> dict[str, Any] | None:
    """A transform that drops rows."""
    return row if row["id"] % 2 else None


def test_a_function_that_drops_rows(users: MemoryWorld) -> None:
    """A dropped row is no deleted one, and an older version of it stays; a deleted row leaves."""
    users.tables[0] |= {"transform": {"function": f"{__name__}:keep_odd"}, "deletes": "hard"}
    tick(users)
    users.sql("delete from users where id in (1, 2)")
    assert tick(users).rows_deleted == 2
    assert ids(users) == list(range(3, 11))


def test_a_table_that_is_read_by_xmin(users: MemoryWorld) -> None:
    """Without a watermark."""
    users.tables[0] |= {"mode": "xmin"}
    del users.tables[0]["watermark_column"]
    tick(users)
    users.sql("delete from users where id = 1")
    assert tick(users).rows_deleted == 1
    users.assert_equal()


def test_a_table_whose_late_rows_are_lost(users: MemoryWorld) -> None:
    """With `late_rows: off` the target may lack rows: a deleted row is found nevertheless, and so is a lost one."""
    users.tables[0] |= {"late_rows": "off"}
    tick(users)
    users.sql("insert into users values (50, 'late', 0, null, '2001-01-01')")
    users.sql("delete from users where id = 1")
    report = tick(users)
    assert report.rows_deleted == 1
    assert "1 row that the source has and the target lacked was read again" in report.events
    users.assert_equal()


def test_a_row_that_the_target_lacks_is_read_again(users: MemoryWorld) -> None:
    """Somebody deleted it and inserted another: the number of rows is the same."""
    rows = users.target().rows
    rows.append({**rows.pop(), "ID": 99})
    report = tick(users)
    assert report.rows_deleted == 1
    assert "1 row that the source has and the target lacked was read again" in report.events
    users.assert_equal()


def test_duplicates_are_reported(users: MemoryWorld) -> None:
    """They are no deleted rows, and the event names the command that removes them."""
    users.target().rows.append(dict(users.target().rows[0]))
    users.sql("update sync_watermarks set target_rows = null")
    report = tick(users)
    assert report.rows_deleted == 0
    assert any("pgsnow resync public.users --duplicates-only" in event for event in report.events)


def test_rows_that_wait_are_loaded_before_a_search(users: MemoryWorld) -> None:
    """With `load_every`: a staged insert of a row that is deleted meanwhile does not come back for good."""
    users.tables[0] |= {"load_every": "1h"}
    users.sql("insert into users values (40, 'staged')")
    tick(users)
    users.sql("delete from users where id in (40, 1)")
    assert tick(users).rows_deleted == 0
    assert tick(users, load=True).rows_deleted == 2
    users.assert_equal()


@pytest.mark.parametrize("limit", [{"load_when_rows": 5}, {"load_when_mb": 0.0001}])
def test_a_table_that_is_loaded_early_in_each_tick_is_searched_too(
    users: MemoryWorld, limit: dict[str, float]
) -> None:
    """Each tick reads so many rows that they are loaded at once, so none ever wait for the end of an interval."""
    users.tables[0] |= {"load_every": "1ms", **limit}
    users.sql("delete from users where id = 10")
    users.sql("update users set name = 'early', updated_at = now() where id <= 5")
    assert tick(users).rows_deleted == 1
    users.assert_equal()


def test_a_backfill_in_chunks_and_then_a_search(users: MemoryWorld) -> None:
    """A row that is deleted after its chunk was read is found once the backfill has ended."""
    users.tables[0] |= {"max_mb_per_chunk": 0.04, "target": "analytics.other"}
    users.sql("insert into users select g, repeat('x', 500) from generate_series(11, 400) g")

    def delete(event: Event) -> None:
        if event.phase == "chunk":
            users.sql("delete from users where id = 12")

    assert tick(users, delete).status is Status.OK
    tick(users)
    assert sorted(row["ID"] for row in users.target("analytics.other").rows) == [
        id for (id,) in users.sql("select id from users order by id")
    ]


@pytest.mark.parametrize("change", ["truncate days_1", "alter table days detach partition days_1"])
def test_rows_of_partitions(users: MemoryWorld, change: str) -> None:
    """A partition that is emptied, dropped or detached takes its rows along."""
    users.tables[0] |= {"source": "public.days", "target": "analytics.days"}
    users.sql(
        "create table days (id int primary key, updated_at timestamptz default now()) partition by range (id);"
        "create table days_1 partition of days for values from (1) to (10);"
        "create table days_2 partition of days for values from (10) to (100);"
        "insert into days select g from generate_series(1, 30) g"
    )
    tick(users)
    users.sql(change)
    tick(users)
    users.assert_equal()


@pytest.mark.parametrize("phase", ["compared", "deleted"])
def test_a_run_that_ends_anywhere_is_continued_by_the_next(users: MemoryWorld, phase: str) -> None:
    """Each step may be the last one of a run."""
    users.sql("delete from users where id in (3, 7)")
    assert tick(users, RaiseAt(phase, TargetUnavailable("gone"))).status is Status.ERROR
    report = tick(users)
    assert report.status in (Status.OK, Status.IDLE)
    assert report.full_read is None
    users.assert_equal()


def test_an_answer_that_is_lost_leaves_the_search_due(users: MemoryWorld) -> None:
    """The statement is sent again, and the next run compares once more."""
    users.sql("delete from users where id = 3")
    users.warehouse.fail("delete", TargetUnavailable("no answer"), after=True)
    assert tick(users).ok
    assert users.sql("select sweep ->> 'pending_since' is not null from sync_watermarks") == [(True,)]
    report = tick(users)
    assert report.full_read is None
    users.assert_equal()


def test_a_row_of_a_later_run_is_not_deleted(users: MemoryWorld) -> None:
    """Its fence is above the run's: the run says that the ledger is outdated."""
    users.sql("delete from users where id = 3")
    for row in users.target().rows:
        row[FENCE_COLUMN] += 10**12
    assert tick(users).error_type == "LedgerOutdated"
    assert 3 in ids(users)


def test_a_run_that_has_lost_its_lease_deletes_nothing(users: MemoryWorld) -> None:
    """Another run takes the table between the comparison and the DELETE."""
    users.sql("delete from users where id = 3")
    taken = AtPhase("compared", lambda: users.sql("update sync_watermarks set fence = fence + 1"))
    assert tick(users, taken).error_type == "LeaseLost"
    assert 3 in ids(users)
    assert users.warehouse.done("delete") == []
    assert tick(users).rows_deleted == 1
    users.assert_equal()


def test_a_second_run_leaves_the_table_alone_during_a_search(users: MemoryWorld) -> None:
    """The lease holds until the search has ended."""
    users.sql("delete from users where id = 3")
    second = []
    meanwhile = AtPhase("compared", lambda: second.append(tick(users).status))
    assert tick(users, meanwhile).rows_deleted == 1
    assert second == [Status.LOCKED]


def test_a_resync_and_a_full_refresh_are_followed_by_no_search(users: MemoryWorld) -> None:
    """They leave the rows of one snapshot, so that nothing needs to be compared."""
    users.sql("delete from users where id = 3")
    for report in (tick(users, resync=True), tick(users, full_refresh=True)):
        assert (report.status, report.ranges_compared) == (Status.OK, 0)
        users.assert_equal()


def test_a_dismissed_row_is_no_row_that_the_target_lacks(users: MemoryWorld) -> None:
    """A person has decided that it may be missing: it is not read again by each search."""
    users.sql("insert into users (id, balance) values (30, 'NaN')")
    assert tick(users).rows_rejected == 1
    users.sql("update sync_errors set state = 'dismissed'")
    users.sql("delete from users where id = 1")
    report = tick(users)
    assert (report.rows_deleted, report.rows_rejected) == (1, 0)


def test_a_search_that_is_not_complete_is_not_repeated_at_once(users: MemoryWorld) -> None:
    """It waits as one that is complete does, and the status says why it is due."""
    users.sql("truncate users")
    assert tick(users).error_type == "DeletesUnconfirmed"
    users.sql("update sync_watermarks set sweep = sweep || '{\"tried_seconds\": 3600}'")
    assert tick(users).ok
    assert "nothing was deleted" in users.sql("select sweep ->> 'pending_why' from sync_watermarks")[0][0]
    assert tick(users, confirm_deletes=True).rows_deleted == 10
