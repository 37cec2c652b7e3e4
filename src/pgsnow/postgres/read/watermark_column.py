"""Where in a batch the watermarks are: among the plan's fields, or, if they are not there as they are, after them."""

from __future__ import annotations

from psycopg.sql import Composable

from pgsnow.model.plan import TablePlan
from pgsnow.postgres import sql

WATERMARK = "__pgsnow_watermark"
_AS_IT_IS = "{c}"


def place_of_watermark(plan: TablePlan) -> int:
    """The column's number. A value is sent once only: each costs the server as much as it does us."""
    if plan.watermark is not None:
        for at, field in enumerate(plan.fields):
            if field.source == plan.watermark.name and field.type.read == _AS_IT_IS:
                return at
    return len(plan.fields)


def read_besides(plan: TablePlan) -> list[tuple[Composable, str]]:
    """What a SELECT list needs for that after the plan's fields."""
    if plan.watermark is None or place_of_watermark(plan) < len(plan.fields):
        return []
    return [(sql.watermark(plan), WATERMARK)]
