"""A shadow table collects the rows of a backfill, over any number of attempts, until it replaces the target's
content."""

from __future__ import annotations

from collections.abc import Sequence

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
        sql.create_shadow(shadow_table(plan.target, batch), plan.output, plan.metadata_columns)
    )


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
    )
    return (SqlStatement(text, REPLACE),)
