"""A full read in two statements: the first leaves out rows with oversize values, the second reads those, if any.

Guarding each value costs every row an expression per column; leaving a row out costs one condition. The
condition records in a setting of the transaction that it left a row out, so that the second statement, which
scans the table again, is only sent where it finds something. Both see one snapshot, and the condition depends
on stored values alone, so that each row is read by exactly one of them. Only for reads of everything: a
condition that sets something rules out parallel workers, which find a few changed rows sooner, and for few
rows a guard costs little."""

from __future__ import annotations

from psycopg.sql import SQL, Composable, Identifier, Literal

from pgsnow.model.plan import TablePlan
from pgsnow.postgres.convert.oversize import ROW_LIMIT, STORED, length_cast, limit_of, oversize_fields

_SETTING = "pgsnow.left_out"
_STORED_KINDS = frozenset({"r", "p", "m"})
"""Relkinds whose rows are the same for both statements; a view's or a foreign table's may differ."""

ANY_LEFT_OUT = SQL("select coalesce(current_setting({}, true), '') = 'on'").format(Literal(_SETTING))
"""A query: was any row left out in this transaction? One boolean."""


def can_split(plan: TablePlan) -> bool:
    """True if the two parts can be read by one statement each."""
    return plan.source.relkind in _STORED_KINDS and bool(oversize_fields(plan))


def fitting_rows(plan: TablePlan) -> Composable:
    """A condition: the row has no value that could be oversize. Volatile; records when it is false.

    https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-ADMIN-SET"""
    return SQL("case when {} then set_config({}, 'on', true) is null else true end").format(
        _oversize(plan), Literal(_SETTING)
    )


def oversize_rows(plan: TablePlan) -> Composable:
    """A condition: exactly the rows that `fitting_rows` leaves out."""
    return SQL("({})").format(_oversize(plan))


def _oversize(plan: TablePlan) -> Composable:
    """True for too many rows rather than too few: a row is too long as a whole only if one of its n values has at least
    an n-th of ROW_LIMIT."""
    fields = oversize_fields(plan)
    share = ROW_LIMIT // len(fields)
    return SQL(" or ").join(
        SQL("octet_length({}{}) > {}").format(
            Identifier(field.source), cast, Literal(min(limit_of(field), share))
        )
        if (cast := length_cast(column)) is not None
        else SQL("pg_column_size({}) > {}").format(Identifier(field.source), Literal(STORED))
        for field, column in fields
    )
