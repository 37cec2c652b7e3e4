"""A table gets another key: its target follows, also where a person sends what that takes, or the old column goes."""

from __future__ import annotations

from collections.abc import Mapping

from pgsnow.model.report import Status
from pgsnow.operations.plan.apply import apply
from pgsnow.operations.plan.preview import preview
from tests.world import World

KEYED = """create table {0} (
    number int primary key, uid uuid not null default gen_random_uuid(), v text,
    updated_at timestamptz not null default now()
);
insert into {0} select g, gen_random_uuid(), 'v' || g from generate_series(1, 50) g"""
BY_UID = "alter table {0} drop constraint {0}_pkey; alter table {0} add primary key (uid);"
WITHOUT_NUMBER = "alter table {0} drop column number;"
NULLABLE = "alter table {0} alter number drop not null;"
MORE = "insert into {0} (v) values ('new'), ('newer')"
COLUMNS = "select column_name from information_schema.columns where table_name = '{}'"


def add(world: World, names: Mapping[str, Mapping[str, str]]) -> None:
    """Tables with these names and settings in place of the world's."""
    world.tables = []
    for name, settings in names.items():
        world.sql(KEYED.format(name))
        keyed = {"source": f"public.{name}", "target": f"analytics.{name}", "watermark_column": "updated_at"}
        world.tables.append({**keyed, **settings})


def columns(world: World, name: str) -> set[str]:
    return {row[0] for row in world.snowflake(COLUMNS.format(name.upper()))}


WAITING: dict[str, tuple[str, str]] = {
    "another_key": (BY_UID, "keep"),
    "dropped": (BY_UID + WITHOUT_NUMBER, "keep"),
    "dropped_in_both": (BY_UID + WITHOUT_NUMBER, "drop"),
    "nullable": (BY_UID + NULLABLE, "drop"),
}
"""A table → what is done to it, and its rule for dropped columns."""


def test_with_manual_changes_another_key_waits_for_apply(world: World) -> None:
    """What the run would have sent is what plan shows and apply sends; then the run reads everything."""
    add(world, {name: {"schema_changes": "manual", "on_drop": rule} for name, (_, rule) in WAITING.items()})
    every = [f"public.{name}" for name in WAITING]
    assert [table.error for table in apply(world.config, world.settings, every).tables] == [None] * 4
    with world.engine() as engine:
        assert [table.rows_inserted for table in engine.tick().tables] == [50] * 4
        for name, (change, _) in WAITING.items():
            world.sql(change.format(name))
        waiting = {table.table: table for table in engine.tick().tables}
        assert {table.error_type for table in waiting.values()} == {"SchemaChangePending"}, waiting
        for shown in preview(world.config, world.settings):
            assert shown.pending, shown
            assert shown.reads == "everything: the key was [number] and is [uid]"
            told = str(waiting[shown.table].error)
            assert [statement for statement in shown.ddl if statement not in told] == []
        assert {table.error_type for table in engine.tick().tables} == {"SchemaChangePending"}
        for applied in apply(world.config, world.settings, every).tables:
            assert applied.status is Status.APPLIED, applied.error
        assert {shown.ddl for shown in preview(world.config, world.settings)} == {()}
        for followed in engine.tick().tables:
            assert (followed.error, followed.full_read) == (None, "the key was [number] and is [uid]")
        world.assert_equal()
        for name in WAITING.keys() - {"another_key"}:  # whose source takes no row without a number
            world.sql(MORE.format(name))
        inserted = {table.table: table.rows_inserted for table in engine.tick().tables}
        assert inserted == {name: 0 if name == "public.another_key" else 2 for name in every}
        assert {table.status for table in engine.tick().tables} == {Status.IDLE}
    world.assert_equal()


FORMER: dict[str, tuple[str, str]] = {
    "at_once": (BY_UID + WITHOUT_NUMBER, ""),
    "one_by_one": (BY_UID, WITHOUT_NUMBER),
}
"""A table → its changes: those before the first tick and those before the second."""


def test_the_column_of_a_former_key_is_dropped_where_dropped_columns_are(world: World) -> None:
    add(world, {name: {"on_drop": "drop"} for name in FORMER})
    with world.engine() as engine:
        engine.tick()
        for turn in range(2):
            for name, changes in FORMER.items():
                assert ("NUMBER" in columns(world, name)) is (turn == 0 or name == "one_by_one")
                if changes[turn]:
                    world.sql(changes[turn].format(name))
            assert [table.error for table in engine.tick().tables] == [None, None]
        for name in FORMER:
            assert "NUMBER" not in columns(world, name)
            world.sql(MORE.format(name))
        assert [table.rows_inserted for table in engine.tick().tables] == [2, 2]
        assert {table.status for table in engine.tick().tables} == {Status.IDLE}
    for name in FORMER:
        assert world.snowflake(f"SELECT COUNT(*), COUNT(DISTINCT UID) FROM ANALYTICS.{name}") == [(52, 52)]
    world.assert_equal()
    assert world.leftovers() == []
