"""RowRemoval of duplicates: rows of a target whose key, or whose identity with `mode: append`, another row has too.

They come from a statement whose answer was lost and that was committed late, or from someone's INSERT. A MERGE updates
each of them, so they are removed by a statement of their own.
"""

from __future__ import annotations

from pgsnow.model.metadata_columns import IDENTITY
from pgsnow.model.plan import TablePlan
from pgsnow.model.sentences import counted
from pgsnow.snowflake.schema.target_table import describe
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.sql import direct_copy as sql


def identity_of(plan: TablePlan) -> tuple[str, ...]:
    """The target's columns that identify a row; empty for a table without a key whose content is replaced."""
    own = {column.name for column in plan.metadata_columns}
    appended = tuple(column.name for column in IDENTITY if column.name in own)
    return appended or tuple(field.target for field in plan.target_key)


def count_surplus(session: Session, plan: TablePlan) -> int:
    """The number of rows beyond the first of each key. Raises TargetMissing."""
    names = identity_of(plan)
    return int(session.execute(sql.count_surplus(plan.target, names)).rows[0][0]) if names else 0


def remove_surplus(session: Session, plan: TablePlan) -> int:
    """Keep one row of each key, the one with the highest fence; returns how many were removed. One atomic statement,
    which is sent only if there are duplicates. Idempotent. Raises TargetMissing."""
    surplus = count_surplus(session, plan)
    if surplus:
        columns = [column.name for column in describe(session, plan.target) or [] if not column.computed]
        session.execute(sql.keep_one_of_each(plan.target, columns, identity_of(plan)))
    return surplus


def removed(count: int) -> str:
    """The event that reports it."""
    return f"removed {counted(count, 'duplicate row')}: the target had more than one row of a key"
