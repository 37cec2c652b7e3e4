# ruff: noqa: S608  (composing SQL is what this module is for; every name in it goes through names.py)
"""Statements about rows that the source no longer has: marked as deleted, kept, or deleted. Pure.

A marked row keeps its last values. The mark is taken off by the MERGE of a row with the same key.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from enum import StrEnum
from functools import partial

from pgsnow.model.config.options import Deletes
from pgsnow.model.metadata_columns import DELETED_AT_COLUMN, FENCE_COLUMN
from pgsnow.model.plan import TablePlan
from pgsnow.model.table import TargetName
from pgsnow.model.types.mapping import Field
from pgsnow.snowflake.names import qualified, quote
from pgsnow.snowflake.sql.deletes import HARD, RowRemoval, delete_rows, not_later
from pgsnow.snowflake.sql.statements import NOW, Filled

MARKED = f"{quote(DELETED_AT_COLUMN)} IS NOT NULL"
UNMARKED = f"{quote(DELETED_AT_COLUMN)} IS NULL"
CLEARED: Filled = (DELETED_AT_COLUMN, "NULL")


class Gone(StrEnum):
    """Handling of the target's rows that the source no longer has, by every statement that removes rows.

    MARKED: they are marked as deleted, and marked ones stay. KEPT: they are deleted, but marked ones stay. DELETED:
    all of them are deleted.
    """

    MARKED = "marked"
    KEPT = "kept"
    DELETED = "deleted"


def gone_rows(
    plan: TablePlan, created: str | None, columns: Container[str] | None, *, other_keys: bool = False
) -> Gone:
    """The handling that the configuration asks for, of a target with these columns (None: not known).

    With `deletes: off`, marks from a time with `deletes: soft` stay; with `deletes: hard`, such rows are deleted, too.
    created: as in TablePlan.deletes. other_keys: keys of the target's rows cannot be compared to the source's, so only
    marked rows are known to be deleted.
    """
    if not plan.target_key:
        return Gone.DELETED
    if plan.marks_deleted:
        return Gone.KEPT if other_keys else Gone.MARKED
    is_off = Deletes.OFF in (plan.config.deletes, plan.deletes(created).deletes)
    return Gone.KEPT if is_off and DELETED_AT_COLUMN in (columns or ()) else Gone.DELETED


def removal_of(gone: Gone, audited: Sequence[Filled] = ()) -> RowRemoval:
    """The statement that handles rows in this way. audited: the audit columns with the values that a marked row gets.

    A marked row also gets the fence of the run, so that the late MERGE of a stale worker does not take the mark off.
    The time of a mark does not change.
    """
    if gone is Gone.DELETED:
        return HARD
    if gone is Gone.KEPT:
        return RowRemoval(_delete_unmarked, HARD.counted)
    return RowRemoval(partial(_mark, audited), "number of rows updated", leaves_rows=True)


def _delete_unmarked(target: TargetName, where: str, fence: int) -> str:
    return delete_rows(target, f"{where} AND {UNMARKED}", fence)


def _mark(audited: Sequence[Filled], target: TargetName, where: str, fence: int) -> str:
    values = ((DELETED_AT_COLUMN, NOW), (FENCE_COLUMN, str(fence)), *audited)
    changes = ", ".join(f"{quote(name)} = {value}" for name, value in values)
    return f"UPDATE {qualified(target)} SET {changes} WHERE {where} AND {UNMARKED} AND {not_later(fence)}"


def delete_marked(target: TargetName) -> str:
    """Delete the marked rows."""
    return f"DELETE FROM {qualified(target)} WHERE {MARKED}"


def carried_over(
    gone: Gone,
    target: TargetName,
    names: Sequence[str],
    filled: Sequence[Filled],
    key: Sequence[Field],
    found: str,
) -> str:
    """The SELECT of those rows of the target, called `t`, that stay when its content is replaced; empty if none do.

    names: the columns, in order. filled: pgsnow's metadata columns with the values that a row gets when it is marked.
    found: a condition: the new content may replace the target's, and does not have this row's key.
    """
    if gone is Gone.DELETED:
        return ""
    mark, marks = f"t.{quote(DELETED_AT_COLUMN)}", gone is Gone.MARKED
    marking = {**dict(filled), DELETED_AT_COLUMN: NOW} if marks else {}
    values = ", ".join(
        f"CASE WHEN {mark} IS NULL THEN {marking[name]} ELSE t.{quote(name)} END"
        if name in marking
        else f"t.{quote(name)}"
        for name in names
    )
    selected = f"SELECT {values} FROM {qualified(target)} AS t WHERE {found}"
    if not marks:
        return f" UNION ALL {selected} AND {mark} IS NOT NULL"
    keys = ", ".join(f"t.{quote(field.target)}" for field in key)
    newest = f"ORDER BY t.{quote(FENCE_COLUMN)} DESC NULLS LAST"
    return f" UNION ALL {selected} QUALIFY ROW_NUMBER() OVER (PARTITION BY {keys} {newest}) = 1"
