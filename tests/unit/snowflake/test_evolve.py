"""The statements that alter a target are the ones Snowflake documents, and depend on what is there."""

from __future__ import annotations

from collections.abc import Sequence

from pgsnow.model.evolution.drift import AddColumn, DropColumn, RenameColumn, TargetAction, WidenColumn
from pgsnow.model.table import TargetName
from pgsnow.snowflake.schema.evolve import evolution
from pgsnow.snowflake.schema.target_table import TargetColumn

TARGET = TargetName("DB", "S", "T")
ACTIONS: tuple[TargetAction, ...] = (
    RenameColumn("A", 'odd "b', "VARCHAR"),
    WidenColumn("N", "NUMBER(14,2)"),
    AddColumn("NEW", "TIMESTAMP_TZ(6)"),
    DropColumn("OLD"),
)
STATEMENTS = (
    'ALTER TABLE "DB"."S"."T" RENAME COLUMN "A" TO "odd ""b"',
    'ALTER TABLE "DB"."S"."T" ALTER COLUMN "N" SET DATA TYPE NUMBER(14,2)',
    'ALTER TABLE "DB"."S"."T" ADD COLUMN IF NOT EXISTS "NEW" TIMESTAMP_TZ(6)',
    'ALTER TABLE "DB"."S"."T" DROP COLUMN IF EXISTS "OLD"',
)


def statements(
    target: TargetName, actions: Sequence[TargetAction], there: Sequence[TargetColumn]
) -> tuple[str, ...]:
    return tuple(change.statement for change in evolution(target, actions, there).changes)


def columns(**kinds: str) -> list[TargetColumn]:
    return [TargetColumn(name, kind, required=False, computed=False) for name, kind in kinds.items()]


def test_each_action_is_one_documented_statement() -> None:
    assert statements(TARGET, ACTIONS, columns(A="VARCHAR", N="NUMBER(10,2)", OLD="FLOAT")) == STATEMENTS


def test_what_is_done_already_is_not_sent_again() -> None:
    there = columns(**{'odd "b': "VARCHAR", "N": "NUMBER(38,2)", "NEW": "TIMESTAMP_TZ(6)"})
    assert statements(TARGET, ACTIONS, there) == ()


def test_a_target_that_is_not_there_is_not_altered() -> None:
    assert statements(TARGET, ACTIONS, ()) == ()


def test_a_column_that_is_gone_from_the_target_is_added_under_its_new_name() -> None:
    assert statements(TARGET, [RenameColumn("A", "B", "FLOAT")], columns(X="FLOAT")) == (
        'ALTER TABLE "DB"."S"."T" ADD COLUMN IF NOT EXISTS "B" FLOAT',
    )
