"""The log is compared with the table.

Group: history
Danger: For a reason that nobody has thought of, a committed change is not in the log that is read. Nothing would ever
notice it.
Answer: Once a day (`log_audit_every`) a tick compares a sample of rows, which show the transactions that wrote them,
with the keys in the log. If one is missing, an event names it with its transaction and the position in the log, and the
table is read once without the log.
"""

from __future__ import annotations

from tests.world import MemoryWorld

FOLLOWS = "select (checkpoint -> 'log' ->> 0)::bigint = generation from sync_watermarks, sync_slots"


def test_a_row_that_the_log_does_not_have_is_found_and_read(memory_world: MemoryWorld) -> None:
    """Audits of a table with inserts, updates, moved keys and savepoints find nothing; a row that was written while
    nothing was published, which the fingerprint is made to forget, is found by the next one and arrives."""
    world = memory_world
    world.tables[0] |= {"mode": "log", "log_audit_every": "0.001s"}
    world.options["log_publication"] = "ours"
    world.sql("create publication ours for table users")
    world.sql("insert into users (id, name) select i, 'user ' || i from generate_series(1, 30) i")
    with world.engine() as engine:
        for _ in range(3):
            engine.tick()
        assert world.sql(FOLLOWS) == [(True,)]
        audited = world.sql("select figures -> 'audits' from sync_slots")
        for n in range(4):
            world.sql(f"insert into users (id, name) values (10{n}, 'new')")
            world.sql(f"update users set name = 'n{n}' where id < 5")
            world.sql(f"update users set id = id + 1000 where id = 2{n}")
            world.sql("begin")
            world.sql(f"insert into users (id) values (20{n})")
            world.sql("savepoint s")
            world.sql(f"insert into users (id) values (30{n})")
            world.sql("rollback to s")
            world.sql(f"insert into users (id) values (40{n})")
            world.sql("commit")
            [report] = engine.tick().tables
            assert not [event for event in report.events if "without the log" in event], report.events
        assert world.sql("select figures -> 'audits' from sync_slots") != audited
        world.sql("update sync_slots set figures = figures - 'audit_since'")
        engine.tick()
        world.sql("alter publication ours drop table users")
        world.sql("insert into users (id, name) values (5000, 'unseen')")
        world.sql("alter publication ours add table users")
        world.sql("insert into users (id, name) values (5001, 'seen')")
        world.sql("update sync_slots set fingerprint = jsonb_build_object()")
        [report] = engine.tick().tables
        [found] = [event for event in report.events if "without the log" in event]
        assert "the audit found the row with id = 5000, which transaction " in found
        world.assert_equal()
    world.sql("select pg_drop_replication_slot(slot) from sync_slots")
