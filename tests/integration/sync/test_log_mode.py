"""Tables with `mode: log`."""

from __future__ import annotations

from tests.world import World


def test_changes_arrive_from_the_log(world: World) -> None:
    """Inserts, updates and deletes arrive from the log, after the table was read as a whole."""
    world.tables[0] |= {"mode": "log"}
    world.sql("create publication pgsnow_test for table users")
    world.options["log_publication"] = "pgsnow_test"
    world.sql("insert into users select i, 'n' || i from generate_series(1, 100) i")
    with world.engine() as engine:
        for statement in (
            "select 1", "select 1",
            "insert into users values (1000, 'new')", "update users set name = 'x' where id = 1",
            "delete from users where id = 2", "update users set id = 2000 where id = 3",
            "truncate users", "insert into users values (5, 'again')", "select 1",
        ):  # fmt: skip
            world.sql(statement)
            report = engine.tick()
            print(statement, [(t.status, t.error, t.events, t.rows_processed) for t in report.tables])
            print(world.sql("select checkpoint->'log', staged from sync_watermarks"))
            print(world.sql("select slot, generation, confirmed, trouble, joins from sync_slots"))
            world.assert_equal()
    world.sql("select pg_drop_replication_slot(slot) from sync_slots")
