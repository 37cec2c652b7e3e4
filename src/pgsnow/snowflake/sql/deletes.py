# ruff: noqa: S608  (composing SQL is what this module is for; every name in it goes through names.py)
"""Statements that remove rows from a target whose keys are gone from the source, as text. Pure.

Sources: Snowflake docs, "DELETE", "UPDATE".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from pgsnow.model.metadata_columns import FENCE_COLUMN
from pgsnow.model.table import TargetName
from pgsnow.snowflake.names import qualified, quote, staging_table


class RowRemoval(NamedTuple):
    """A way to remove rows. statement: its text, from the target, a condition for the rows, and the fence of the run.
    counted: the column of the statement's result that has the number of removed rows. leaves_rows: the rows stay in
    the target, marked."""

    statement: Callable[[TargetName, str, int], str]
    counted: str
    leaves_rows: bool = False


def delete_rows(target: TargetName, where: str, fence: int) -> str:
    """Delete these rows, except those that a run with a later fence wrote."""
    return f"DELETE FROM {qualified(target)} WHERE {where} AND {not_later(fence)}"


def not_later(fence: int) -> str:
    """A condition: no run with a later fence wrote the row."""
    mark = quote(FENCE_COLUMN)
    return f"({mark} IS NULL OR {mark} <= {fence})"


def older(fence: int) -> str:
    """A condition: no run with this fence or a later one wrote the row."""
    mark = quote(FENCE_COLUMN)
    return f"({mark} IS NULL OR {mark} < {fence})"


HARD = RowRemoval(delete_rows, "number of rows deleted")
"""The rows are gone afterwards."""


def is_staged(target: TargetName, batch: str, columns: str, staged: str) -> str:
    """A condition: the target's key is in the staging table of the batch. columns, staged: expressions of it in the
    target and in the staging table, separated by commas."""
    return f"({columns}) IN (SELECT {staged} FROM {qualified(staging_table(target, batch))})"
