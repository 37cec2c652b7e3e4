"""A shadow table collects the rows of a backfill, over any number of attempts, until it replaces the target's
content."""

from __future__ import annotations

from collections.abc import Sequence

from pgsnow.model.metadata_columns import DELETED_AT, MetadataColumn
from pgsnow.model.plan import TablePlan
from pgsnow.model.table import TargetName
from pgsnow.snowflake.load.replace import Content
from pgsnow.snowflake.names import staging_table
from pgsnow.snowflake.sql import direct_copy as sql
from pgsnow.snowflake.statement import REPLACE, SqlStatement, Step


def shadow_table(target: TargetName, batch: str) -> TargetName:
    """The shadow table of a backfill. batch: the first one of the backfill's fence; its cleanup drops the table."""
    return staging_table(target, batch)


def create_shadow(plan: TablePlan, batch: str) -> Step:
    """Create the shadow table. Idempotent; an existing one is not changed."""
    return SqlStatement(
        sql.create_shadow(shadow_table(plan.target, batch), plan.output, columns_of_shadow(plan))
    )


def columns_of_shadow(plan: TablePlan) -> tuple[MetadataColumn, ...]:
    """pgsnow's own columns of a shadow table: no row of it is ever marked as deleted."""
    return tuple(column for column in plan.metadata_columns if column != DELETED_AT)


def put_in_place(content: Content, batch: str, foreign: Sequence[str]) -> tuple[Step, ...]:
    """Replace the target's content with the shadow table's rows in one step. Idempotent.

    Nothing is changed if the target has rows of a later run. foreign: as in `replace_steps`.
    """
    plan = content.plan
    text = sql.put_in_place(
        plan.target,
        shadow_table(plan.target, batch),
        plan.output,
        plan.target_key,
        content.filled,
        foreign,
        content.fence,
        content.gone,
    )
    return (SqlStatement(text, REPLACE),)
