"""A table gets another key: its target follows, also where a person sends what that takes, or the old column goes."""

from __future__ import annotations

import pytest

from pgsnow.model.report import Status
from pgsnow.operations.plan.apply import apply
from pgsnow.operations.plan.preview import preview
from tests.world import World

KEYED = """create table keyed (
    number int primary key, uid uuid not null default gen_random_uuid(), v text,
    updated_at timestamptz not null default now()
);
insert into keyed select g, gen_random_uuid(), 'v' || g from generate_series(1, 50) g"""
BY_UID = "alter table keyed drop constraint keyed_pkey; alter table keyed add primary key (uid);"
WITHOUT_NUMBER = "alter table keyed drop column number;"
NULLABLE = "alter table keyed alter number drop not null;"
MORE = "insert into keyed (v) values ('new'), ('newer')"
COLUMNS = "select column_name from information_schema.columns where table_name = 'KEYED'"


@pytest.fixture
def keyed(world: World) -> World:
    world.sql(KEYED)
    watermark = {"watermark_column": "updated_at"}
    world.tables = [{"source": "public.keyed", "target": "analytics.keyed", **watermark}]
    return world


def columns(world: World) -> set[str]:
    return {row[0] for row in world.snowflake(COLUMNS)}


@pytest.mark.parametrize(
    ("change", "on_drop"),
    [
        (BY_UID, "keep"),
        (BY_UID + WITHOUT_NUMBER, "keep"),
        (BY_UID + WITHOUT_NUMBER, "drop"),
        (BY_UID + NULLABLE, "drop"),
    ],
    ids=["key", "dropped", "dropped in both", "nullable"],
)
def test_with_manual_changes_another_key_waits_for_apply(keyed: World, change: str, on_drop: str) -> None:
    """What the run would have sent is what plan shows and apply sends; then the run reads everything."""
    keyed.tables[0] |= {"schema_changes": "manual", "on_drop": on_drop}
    assert apply(keyed.config, keyed.settings, ["public.keyed"]).tables[0].error is None
    with keyed.engine() as engine:
        assert engine.tick().tables[0].rows_inserted == 50
        keyed.sql(change)
        waiting = engine.tick().tables[0]
        assert waiting.error_type == "SchemaChangePending", waiting
        [shown] = preview(keyed.config, keyed.settings)
        assert shown.pending
        assert shown.reads == "everything: the key was [number] and is [uid]"
        assert [statement for statement in shown.ddl if statement not in str(waiting.error)] == []
        assert engine.tick().tables[0].error_type == "SchemaChangePending"
        [applied] = apply(keyed.config, keyed.settings, ["public.keyed"]).tables
        assert applied.status is Status.APPLIED, applied.error
        assert preview(keyed.config, keyed.settings)[0].ddl == ()
        followed = engine.tick().tables[0]
        assert (followed.error, followed.full_read) == (None, "the key was [number] and is [uid]")
        keyed.assert_equal()
        if change != BY_UID:  # otherwise the source takes no row without a number
            keyed.sql(MORE)
            assert engine.tick().tables[0].rows_inserted == 2
        assert engine.tick().tables[0].status is Status.IDLE
    keyed.assert_equal()


@pytest.mark.parametrize(
    "changes", [(BY_UID + WITHOUT_NUMBER,), (BY_UID, WITHOUT_NUMBER)], ids=["at once", "one by one"]
)
def test_the_column_of_a_former_key_is_dropped_where_dropped_columns_are(
    keyed: World, changes: tuple[str, ...]
) -> None:
    keyed.tables[0] |= {"on_drop": "drop"}
    with keyed.engine() as engine:
        engine.tick()
        assert "NUMBER" in columns(keyed)
        for change in changes:
            keyed.sql(change)
            assert engine.tick().tables[0].error is None
        assert "NUMBER" not in columns(keyed)
        keyed.sql(MORE)
        assert engine.tick().tables[0].rows_inserted == 2
        assert engine.tick().tables[0].status is Status.IDLE
    assert keyed.snowflake("SELECT COUNT(*), COUNT(DISTINCT UID) FROM ANALYTICS.KEYED") == [(52, 52)]
    keyed.assert_equal()
    assert keyed.leftovers() == []
