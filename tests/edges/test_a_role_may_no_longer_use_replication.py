"""A role may no longer use replication.

Group: rights
Danger: The log cannot be read, but slot and publication are there: in each tick a table would seem to join the log, be
read as a whole by transaction id, and be searched for deleted rows whatever that costs.
Answer: The run's events and the status say why, with the statement that helps. Tables are read without the log, with
searches for deleted rows as in other modes, and do not join the log before a read of it has succeeded. Nothing is lost.
"""

from __future__ import annotations

from tests.edges.reader import reading_role
from tests.world import MemoryWorld


def tick(world: MemoryWorld) -> str:
    """What the run says."""
    with world.engine() as engine:
        [report] = engine.tick().tables
    assert report.error is None
    return "; ".join(report.events)


def test_tables_are_read_without_the_log_until_the_right_is_back(memory_world: MemoryWorld) -> None:
    """While it is missing, the table has no position in the log, and the advice names the role; afterwards changes and
    deletes of that time arrive, and the log is followed again."""
    world = memory_world
    world.tables[0] |= {"mode": "log"}
    world.options["log_publication"] = "ours"
    world.sql("create publication ours for table users")
    world.sql("insert into users (id, name) select i, 'a' from generate_series(1, 20) i")
    with reading_role(world) as role:
        world.sql(f"grant select on users to {role}; alter role {role} replication")
        assert "from now on" in tick(world)
        world.sql("insert into users (id) values (21); delete from users where id = 1")
        assert "1 insert, 1 delete" in tick(world)
        world.sql(f"alter role {role} noreplication")
        for number in (2, 3):
            world.sql(f"update users set name = 'b' where id = 10; delete from users where id = {number}")
            assert f'ALTER ROLE "{role}" REPLICATION' in tick(world) or number > 2
            assert world.sql("select checkpoint -> 'log' from sync_watermarks") == [(None,)]
            assert world.sql("select joins from sync_slots") == [({},)]
            [(trouble,)] = world.sql("select trouble from sync_slots")
            assert f'ALTER ROLE "{role}" REPLICATION' in trouble
        world.sql(f"alter role {role} replication; delete from users where id = 4")
        for _ in range(3):
            if "from now on" in tick(world):
                break
        world.assert_equal()
        assert world.sql("select trouble from sync_slots") == [(None,)]
        world.sql("delete from users where id = 5")
        assert "1 delete" in tick(world)
        world.assert_equal()
        world.close_engine()
        world.sql("select pg_drop_replication_slot(slot) from sync_slots")
