"""Rows with long values are left out of a table's statement, and read by a second one if there were any.

To guard each value costs every row an expression a column; to leave a row out costs one condition. The condition notes
that it was met in a setting of the transaction, so that the second statement, which scans the table again, is only
sent where it finds something. Both see one snapshot, and the condition depends on stored values alone, so that each row
is read by exactly one of them. For reads of everything: setting something keeps parallel workers off, which find a few
changed rows sooner, and of few rows a guard costs little.
"""

from __future__ import annotations

from psycopg.sql import SQL, Composable, Identifier, Literal

from pgsnow.model.plan import TablePlan
from pgsnow.postgres.convert.oversize import ROW_LIMIT, STORED, is_measured, limit_of, long_fields

_NOTED = "pgsnow.left_out"
_STORED_KINDS = frozenset({"r", "p", "m"})
"""A view's or a foreign table's values may be others to each statement."""

LEFT_OUT = SQL("select coalesce(current_setting({}, true), '') = 'on'").format(Literal(_NOTED))
"""Has any row been left out in this transaction?"""


def is_split(plan: TablePlan) -> bool:
    """May the two parts be read by a statement each?"""
    return plan.source.relkind in _STORED_KINDS and bool(long_fields(plan))


def short_rows(plan: TablePlan) -> Composable:
    """A condition: rows without a value that could be too long. Volatile; notes the others.

    https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-ADMIN-SET"""
    return SQL("case when {} then set_config({}, 'on', true) is null else true end").format(
        _long(plan), Literal(_NOTED)
    )


def long_rows(plan: TablePlan) -> Composable:
    """A condition: exactly the rows that `short_rows` leaves out."""
    return SQL("({})").format(_long(plan))


def _long(plan: TablePlan) -> Composable:
    """Too many rather than too few: a row is too long as a whole only if one of n values has an n-th of that."""
    fields = long_fields(plan)
    share = ROW_LIMIT // len(fields)
    return SQL(" or ").join(
        SQL("octet_length({}{}) > {}").format(
            Identifier(field.source), cast, Literal(min(limit_of(field), share))
        )
        if (cast := is_measured(column)) is not None
        else SQL("pg_column_size({}) > {}").format(Identifier(field.source), Literal(STORED))
        for field, column in fields
    )
