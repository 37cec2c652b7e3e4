"""The order of (watermark, key) that late_rows: off reads in. See cursor.py."""

from __future__ import annotations

from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from pgsnow.model.plan import TablePlan
from pgsnow.postgres import sql
from pgsnow.postgres.incremental.window import is_integer

Cursor = tuple[str, ...]


def order_columns(plan: TablePlan) -> list[Identifier]:
    """The watermark, then the key."""
    return [sql.watermark(plan), *(Identifier(name) for name in plan.pk)]


def orderly(plan: TablePlan) -> Composed:
    """Rows that have a place in the order."""
    condition = SQL("{} is not null") if is_integer(plan) else SQL("isfinite({})")
    return condition.format(sql.watermark(plan))


def beyond(plan: TablePlan, cursor: Cursor | None) -> Composable:
    """Rows after the cursor. Its values are untyped literals, so Postgres reads them as the columns' types."""
    after = None
    if cursor is not None:
        after = SQL("({}) > ({})").format(
            SQL(", ").join(order_columns(plan)), SQL(", ").join(Literal(value) for value in cursor)
        )
    return sql.both([after, orderly(plan), sql.where_given(plan)])
