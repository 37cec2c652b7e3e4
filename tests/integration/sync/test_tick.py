"""A tick leaves the target equal to the source, pays nothing for idle tables, and one table's failure stays its own."""

from __future__ import annotations

from pgsnow.model.report import Status
from pgsnow.sync.runtime.events import Event
from tests.world import MemoryWorld, World

SOME = "insert into users select g, 'user ' || g, g * 1.25, jsonb_build_object('n', g) from generate_series({}, {}) g"

TWO = ("users", "others")


def twice(world: World, *changes: dict[str, str]) -> None:
    """A second table with the rows of users, and these settings of the two."""
    world.sql("create table others (like users including all); insert into others select * from users")
    world.tables = [
        {**world.tables[0], "source": f"public.{name}", "target": f"analytics.{name}", **change}
        for name, change in zip(TWO, changes, strict=True)
    ]


def test_the_first_tick_loads_everything_and_the_next_only_what_changed(memory_world: MemoryWorld) -> None:
    memory_world.sql(SOME.format(1, 2500))
    with memory_world.engine() as engine:
        first = engine.tick().tables[0]
        assert (first.status, first.rows_read, first.rows_inserted) == (Status.OK, 2500, 2500)
        assert first.full_read is not None
        memory_world.sql("update users set name = 'changed', updated_at = now() where id in (3, 5)")
        memory_world.sql(SOME.format(2501, 2510))
        second = engine.tick().tables[0]
        assert (second.rows_read, second.rows_inserted, second.rows_updated) == (12, 10, 2)
        assert second.full_read is None
    memory_world.assert_equal()
    assert memory_world.leftovers() == []


def merges(world: World) -> list[str]:
    """Those of this world: the emulator keeps the newest statements of all worlds, so the number of all stays."""
    mine = f'"{world.settings.snowflake.database}"'
    return [statement for statement in world.emulator.statements("MERGE INTO") if mine in statement]


def test_ten_thousand_changed_rows_cost_one_merge(world: World) -> None:
    world.sql(SOME.format(1, 10_000))
    with world.engine() as engine:
        engine.tick()
        world.sql("update users set balance = balance + 1, updated_at = now()")
        before = merges(world)
        engine.tick()
        assert len(merges(world)) == len(before) + 1
    world.assert_equal()


def test_both_ways_of_loading_give_the_same(world: World) -> None:
    world.sql(SOME.format(1, 50))
    world.sql(
        "insert into users values (51, null, null, null), (52, '', 0, 'null'), (53, '¿🦆?', -0.01, '\"x\"')"
    )
    twice(world, {"load": "insert"}, {"load": "stage"})
    late = "update {} set name = 'late', updated_at = now() - interval '3 seconds' where id = 7"
    with world.engine() as engine:
        engine.tick()
        for name in TWO:
            world.sql(late.format(name))
        assert [report.error for report in engine.tick().tables] == [None, None]
    world.assert_equal()
    mine = f'"{world.settings.snowflake.database}"'
    files = [statement for statement in world.emulator.statements("PUT ") if mine in statement]
    assert len(files) == 2, "one table's alone"
    assert world.leftovers() == []


def test_a_refresh_deletes_what_is_gone_from_the_source(world: World) -> None:
    """Where ticks search for no deleted rows."""
    world.tables[0] |= {"deletes": "off"}
    world.sql(SOME.format(1, 20))
    with world.engine() as engine:
        engine.tick()
        world.sql("delete from users where id <= 5")
        engine.tick()
        assert [d.kind for d in world.verdicts()[0].differences] == ["ghost"] * 5
        report = engine.tick(full_refresh=True).tables[0]
    assert any("deleted 5 rows" in event for event in report.events)
    world.assert_equal()


def test_a_column_added_at_the_source_arrives_at_the_next_tick(memory_world: MemoryWorld) -> None:
    memory_world.sql(SOME.format(1, 5))
    with memory_world.engine() as engine:
        engine.tick()
        memory_world.sql(
            "alter table users add column email text; update users set email = 'e', updated_at = now()"
        )
        assert engine.tick().tables[0].status is Status.OK
    memory_world.assert_equal()


def test_a_target_dropped_by_hand_is_made_again_and_filled_again(world: World) -> None:
    """With and without `late_rows`."""
    world.sql(SOME.format(1, 5))
    world.tables[0] |= {"batch_size": 2, "max_rows_per_load": 2}
    twice(world, {"late_rows": "lossless"}, {"late_rows": "off"})
    with world.engine() as engine:
        engine.tick()
        for name in TWO:
            world.snowflake(f"DROP TABLE ANALYTICS.{name}")
            world.sql(f"insert into {name} (id, name) select g, 'user ' || g from generate_series(6, 8) g")
        for report in engine.tick().tables:
            assert report.status is Status.OK
            assert "the target was gone: everything is read again" in report.events
        assert {report.status for report in engine.tick().tables} == {Status.IDLE}
    world.assert_equal()
    assert world.leftovers() == []


def test_a_target_dropped_again_and_again_during_a_run_is_complete_at_its_end(world: World) -> None:
    world.tables[0] |= {"load": "stage", "batch_size": 2, "max_rows_per_load": 2}
    world.sql(SOME.format(1, 5))
    written = 0

    def drop(event: Event) -> None:
        nonlocal written
        written += event.phase == "written"
        if event.phase == "written" and written in (2, 4):
            world.snowflake("DROP TABLE ANALYTICS.USERS")

    with world.engine(drop) as engine:
        report = engine.tick().tables[0]
        assert (report.status, written) == (Status.OK, 7)
        assert report.events.count("the target was gone: everything is read again") == 2
        world.assert_equal()
        assert engine.tick().tables[0].status is Status.IDLE
    assert world.leftovers() == []


def test_a_target_whose_name_needs_quotes(world: World) -> None:
    """With each way to load."""
    world.sql(SOME.format(1, 10))
    inserted = {"target": '"Odd Schema"."Order Details"', "load": "insert"}
    twice(world, inserted, {"target": '"Odd Schema"."More Details"', "load": "stage"})
    with world.engine() as engine:
        assert {report.status for report in engine.tick().tables} == {Status.OK}
    world.assert_equal()
    assert world.leftovers() == []


def test_the_default_of_an_added_column_reaches_the_rows_that_were_there_before(world: World) -> None:
    world.sql(SOME.format(1, 10))
    with world.engine() as engine:
        engine.tick()
        world.sql("alter table users add column plan text default 'free'")
        report = engine.tick().tables[0]
        assert report.rows_updated == 10
        world.sql("alter table users alter column plan drop default")
        world.sql("alter table users alter column name set default 'nobody'")
        assert engine.tick().tables[0].status is Status.IDLE
    world.assert_equal()
    assert world.snowflake("SELECT DISTINCT PLAN FROM ANALYTICS.USERS") == [("free",)]
