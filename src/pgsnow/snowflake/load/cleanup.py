"""Deletion (or marks, with `deletes: soft`) of rows that a full read did not find again, and a list of leftovers of
earlier loads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pgsnow.model.errors import TargetMissing, TargetQueryFailed
from pgsnow.model.metadata_columns import MetadataColumn
from pgsnow.model.plan import TablePlan
from pgsnow.model.table import TargetName
from pgsnow.snowflake.names import is_staging_of
from pgsnow.snowflake.query import constant, select_all
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.sql import statements as sql
from pgsnow.snowflake.sql.deletes import HARD, RowRemoval, older
from pgsnow.snowflake.stage.stage import INTERNAL, Stage
from pgsnow.snowflake.statement import SqlStatement, Step, number_in


def prune(session: Session, target: TargetName, fence: int, removal: RowRemoval = HARD) -> int:
    """Remove the rows that no run with this fence or a later one wrote; returns how many. Only after a full read."""
    return number_in(session.execute(removal.statement(target, older(fence), fence)), removal.counted)


def older_rows(session: Session, target: TargetName, fence: int, where: str) -> tuple[int, int]:
    """How many rows `prune` would delete, and how many there are."""
    ((older, rows),) = session.execute(sql.count_older(target, fence, where)).rows
    return int(older), int(rows)


def keys_above(
    session: Session, plan: TablePlan, column: MetadataColumn, value: Any
) -> list[tuple[Any, ...]]:
    """The keys of the rows in which the column is above the value. Raises TargetMissing."""
    where = sql.is_above(column.name, constant(value, column.kind))
    return select_all(session, plan.target, plan.key, where)


def prune_above(
    session: Session,
    plan: TablePlan,
    fence: int,
    column: MetadataColumn,
    value: Any,
    removal: RowRemoval = HARD,
) -> int:
    """`prune`, but only of the rows in which the column is above the value."""
    where = f"{sql.is_above(column.name, constant(value, column.kind))} AND {older(fence)}"
    return number_in(session.execute(removal.statement(plan.target, where, fence)), removal.counted)


def newest_fence(session: Session, target: TargetName) -> int:
    """The highest fence of any row; 0 if there is none, or no column of fences. Needs no warehouse on the real
    service, which knows the largest value of a column. Raises TargetMissing."""
    try:
        return int(session.execute(sql.newest_fence(target)).rows[0][0] or 0)
    except TargetMissing:
        raise
    except TargetQueryFailed:  # no such column: no run has loaded it
        return 0


def list_orphans(
    session: Session, target: TargetName, stages: Sequence[Stage] = (INTERNAL,)
) -> tuple[str, ...]:
    """Names of the target's staging tables, and `<batch>/` of every folder in the stages, which other tables share.
    Only meaningful while nothing is being loaded."""
    folders = [folder for stage in stages for folder in stage.batches(session, target)]
    return (*_staging_tables(session, target), *folders)


def removal_steps(
    target: TargetName, tables: Sequence[str], folders: Sequence[str], stages: Sequence[Stage]
) -> tuple[Step, ...]:
    """Drop the staging tables of the batches in `tables`, and remove the files of those in `folders`: one statement for
    each stage. Idempotent: missing objects are ignored, even if the whole schema is missing."""
    drops = [SqlStatement(sql.drop_staging(target, batch), missing_ok=True) for batch in tables]
    return (*drops, *(stage.remove(target, *folders) for stage in stages if folders))


def _staging_tables(session: Session, target: TargetName) -> list[str]:
    try:
        shown = session.execute(sql.show_staging_tables(target))
    except TargetMissing:
        return []
    return sorted(name for name in shown.column("name") if is_staging_of(target, name))
