"""SQL for reading in the order of (watermark, key), as `late_rows: off` does. The reader: read/keyset_reader.py."""

from __future__ import annotations

from psycopg.sql import SQL, Composable, Composed, Identifier

from pgsnow.model.plan import TablePlan
from pgsnow.postgres import sql
from pgsnow.postgres.incremental.window import is_integer

Cursor = tuple[str, ...]
"""The last row's watermark and key, as text that Postgres reads back."""


def order_columns(plan: TablePlan) -> list[Identifier]:
    """The watermark, then the key."""
    return [sql.watermark(plan), *(Identifier(name) for name in plan.pk)]


def has_order(plan: TablePlan) -> Composed:
    """A condition: the row has a place in the order, as its watermark is neither NULL nor infinite."""
    condition = SQL("{} is not null") if is_integer(plan) else SQL("isfinite({})")
    return condition.format(sql.watermark(plan))


def beyond(plan: TablePlan, cursor: Cursor | None) -> Composable:
    """A condition: the row comes after the cursor. Its values are untyped literals, so Postgres reads them as the
    columns' types. A cursor of a watermark alone stands before all rows with it."""
    after = None
    if cursor is not None and len(cursor) == 1:
        after = SQL("{} >= {}").format(sql.watermark(plan), sql.literal(cursor[0]))
    elif cursor is not None:
        after = SQL("({}) > ({})").format(
            SQL(", ").join(order_columns(plan)), SQL(", ").join(sql.literal(value) for value in cursor)
        )
    return sql.both([after, has_order(plan), sql.where_given(plan)])
