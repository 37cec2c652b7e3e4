"""The largest finite watermark of the rows that went by, as text that Postgres reads back exactly."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from psycopg.sql import Composable

from pgsnow.model.plan import TablePlan
from pgsnow.model.types.mapping import Field
from pgsnow.model.types.type_rules import mapping_of
from pgsnow.postgres import sql
from pgsnow.postgres.convert.checks import check
from pgsnow.postgres.incremental.window import is_integer
from pgsnow.postgres.text_values import text_of_value

WATERMARK = "__pgsnow_watermark"
_AS_IT_IS = "{c}"


class LastWatermark:
    """Grows with each batch; starts from one that is known, if there is one. Python holds these values to the
    microsecond, and infinite ones or years that it does not know never get here."""

    def __init__(self, plan: TablePlan, before: str | None = None) -> None:
        column = plan.watermark_column
        self._field = Field(column.name, column.name, mapping_of(column))
        self._largest = None if before is None else _parsed(plan, before)

    def see(self, watermarks: pa.Array, good: pa.Array | None) -> None:
        """A batch's watermark column as it arrived, and which of its rows count (None: all)."""
        values = check(self._field, watermarks).values
        largest = pc.max(values if good is None else values.filter(good)).as_py()
        if largest is not None and (self._largest is None or largest > self._largest):
            self._largest = largest

    @property
    def text(self) -> str | None:
        return text_of_value(self._largest)


def largest(plan: TablePlan, watermarks: Iterable[str | None]) -> str | None:
    """Of texts that LastWatermark gave, by the order of their type."""
    known = [text for text in watermarks if text is not None]
    return max(known, key=lambda text: _parsed(plan, text), default=None)


def _parsed(plan: TablePlan, text: str) -> Any:
    if is_integer(plan):
        return int(text)
    return (
        date.fromisoformat(text)
        if plan.watermark_column.type_name == "date"
        else datetime.fromisoformat(text)
    )


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
