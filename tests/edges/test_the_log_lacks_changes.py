"""The log lacks changes.

Group: history
Danger: A table is taken out of the publication and put back, the publication or the slot is dropped and made again, or
another program moves the slot. What was committed in between is in no log that is read, and nothing says so.
Answer: Each tick compares the slot, the publication and the replica identities with what the ledger knows, also where a
change was undone. The tables concerned are read once without the log, from where they were, with a search for deleted
rows; then they follow the log again. The run's events say why. A slot that holds back more than `max_retained_wal` is
given up in the same way.
"""

from __future__ import annotations

import pytest

from tests.world import MemoryWorld

CHANGES = [
    "insert into users (id, name) values ({n}00, 'new {n}')",
    "update users set name = 'changed {n}' where id = 1",
    "delete from users where id = {n}",
    "update users set id = {n}01 where id = {n} + 20",
]
PUBLICATION = "create publication ours for table users with (publish_via_partition_root = true)"
SLOT = "(select slot_name from pg_replication_slots where database = current_database())"
LARGE = "select pg_logical_emit_message(false, 'x', repeat('y', 700000)) from generate_series(1, 4)"
MADE_AGAIN = "dropped and made again"
BEFORE_18 = {MADE_AGAIN: "publication"}
"""Servers before 18 end the read where the publication was missing, and that is said."""
GAPS: dict[str, tuple[tuple[str, ...], tuple[str, ...], str]] = {
    "taken out and put back": (
        ("alter publication ours drop table users",), ("alter publication ours add table users",),
        "taken out of the publication and put back",
    ),
    "made again": (("drop publication ours",), (PUBLICATION,), MADE_AGAIN),
    "slot dropped": (
        (f"select pg_drop_replication_slot({SLOT})",), (), "is gone",
    ),
    "slot made again": (
        ("create table names as select slot_name::text from pg_replication_slots where database = current_database()",
         "select pg_drop_replication_slot(slot_name) from names"),
        ("select pg_create_logical_replication_slot(slot_name, 'pgoutput') from names",), "it was made again",
    ),
    "slot moved": ((), ("checkpoint", f"select pg_replication_slot_advance({SLOT}, pg_current_wal_lsn())"), "moved to"),
    "too much log": ((LARGE,), (), "max_retained_wal"),
}  # fmt: skip


def test_every_gap_is_noticed_and_read_once_without_the_log(memory_world: MemoryWorld) -> None:
    """Nothing is missing, stale or left over after the first tick, no table is read as a whole, the run says why, and
    the log is followed again two ticks later at the latest."""
    world = memory_world
    world.tables[0] |= {"mode": "log"}
    world.options |= {"log_publication": "ours", "max_retained_wal": "2MB"}
    world.sql(PUBLICATION)
    world.sql("insert into users (id, name) select i, 'user ' || i from generate_series(1, 60) i")
    said = {} if world.source.info.server_version >= 180_000 else BEFORE_18
    with world.engine() as engine:

        def follow(gap: str) -> None:
            for _ in range(3):
                assert not engine.tick().failures
                if world.sql(
                    "select (checkpoint -> 'log' ->> 0)::bigint = generation from sync_watermarks, sync_slots"
                ) == [(True,)]:
                    world.sql("update users set name = name || '.' where id = 50")
                    [report] = engine.tick().tables
                    assert not [event for event in report.events if "without the log" in event], gap
                    return
            pytest.fail(f"{gap}: the table does not follow the log again")

        follow("at first")
        for n, (gap, (before, after, reason)) in enumerate(GAPS.items(), 2):
            reason = said.get(reason, reason)
            for statement in (*before, *(change.format(n=n) for change in CHANGES), *after):
                world.sql(statement)
            [report] = engine.tick().tables
            assert (report.error, report.full_read) == (None, None), gap
            assert [event for event in report.events if "without the log" in event and reason in event], (
                gap, report.events,
            )  # fmt: skip
            world.assert_equal()
            follow(gap)
    world.sql(f"select pg_drop_replication_slot({SLOT})")
