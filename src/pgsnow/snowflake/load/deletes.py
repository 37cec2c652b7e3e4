"""Removes the target's rows of given keys: a few in one statement, many through a staging table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pgsnow.model.batch import LoadBatch
from pgsnow.model.key_range import Key
from pgsnow.model.plan import TablePlan
from pgsnow.model.table import TargetName
from pgsnow.model.types.canonical_text import canonical_text
from pgsnow.model.types.mapping import Field, as_text
from pgsnow.snowflake.load.merge import fill_steps
from pgsnow.snowflake.names import quote, text
from pgsnow.snowflake.query import constant
from pgsnow.snowflake.sql import deletes as sql
from pgsnow.snowflake.sql.statements import create_staging, key_is_one_of
from pgsnow.snowflake.stage.stage import INTERNAL, Stage
from pgsnow.snowflake.statement import SqlStatement, Step

REMOVE = "delete"
"""Phase of the statement that removes rows."""


def few_steps(
    plan: TablePlan, keys: Sequence[Key], fence: int, removal: sql.RowRemoval = sql.HARD
) -> tuple[Step, ...]:
    """Remove the rows of these keys with one statement; none that a run with a later fence wrote. Idempotent."""
    constants = [[_constant(part, f) for part, f in zip(key, plan.target_key, strict=True)] for key in keys]
    where = key_is_one_of(plan.target_key, constants)
    return (SqlStatement(removal.statement(plan.target, where, fence), REMOVE),)


def many_steps(
    plan: TablePlan,
    batch: LoadBatch,
    *,
    method: str,
    stage: Stage = INTERNAL,
    removal: sql.RowRemoval = sql.HARD,
) -> tuple[Step, ...]:
    """As `few_steps`, for keys in the part files of a batch (columns: `staged_key`), through a staging table, whose
    rows are proved to be complete: a failing proof raises LoadMismatch before any change."""
    key = staged_key(plan)
    where = _is_staged(plan.target, plan.target_key, batch.batch)
    return (
        SqlStatement(create_staging(plan.target, batch.batch, key)),
        *fill_steps(plan.target, key, batch, batch.batch, method=method, stage=stage),
        SqlStatement(removal.statement(plan.target, where, batch.fence), REMOVE),
    )


def staged_key(plan: TablePlan) -> tuple[Field, ...]:
    """The columns of a staging table for keys: the canonical text of each."""
    return tuple(replace(f, type=as_text(f.type.postgres, ""), nullable=False) for f in plan.target_key)


def _constant(part: str, field: Field) -> str:
    """The value of a key's column, given by its canonical text."""
    known = canonical_text(field)
    if known is None:  # a FLOAT
        return constant(float(part), field.type.snowflake)
    return known.target_constant.format(text=text(part))


def _is_staged(target: TargetName, key: Sequence[Field], batch: str) -> str:
    """Compared by their canonical texts; a FLOAT by value, which both sides write differently."""
    kinds = [canonical_text(field) for field in key]
    columns = ", ".join(
        quote(f.target) if kind is None else kind.target.format(c=quote(f.target))
        for f, kind in zip(key, kinds, strict=True)
    )
    staged = ", ".join(
        f"{quote(f.target)}::FLOAT" if kind is None else quote(f.target)
        for f, kind in zip(key, kinds, strict=True)
    )
    return sql.is_staged(target, batch, columns, staged)
