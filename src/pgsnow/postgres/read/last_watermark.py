"""The largest finite watermark of the rows that were read, as text that Postgres reads back exactly."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from psycopg.sql import Composable

from pgsnow.model.plan import TablePlan
from pgsnow.model.types.mapping import Field
from pgsnow.model.types.named_types import BY_NAME
from pgsnow.postgres import sql
from pgsnow.postgres.convert.checks import check
from pgsnow.postgres.incremental.window import is_integer
from pgsnow.postgres.sql import text_of_value

WATERMARK = "__pgsnow_watermark"
_UNCHANGED = "{c}"


class LastWatermark:
    """The largest watermark so far; starts from `before`, if given. Exact: Python holds these values to the
    microsecond, and infinite ones, or years beyond Python's, have been rejected before."""

    def __init__(self, plan: TablePlan, before: str | None = None) -> None:
        column = plan.watermark_column
        self._field = Field(column.name, column.name, BY_NAME[column.type_name])
        self._largest = None if before is None else _parsed(plan, before)

    def add(self, watermarks: pa.Array, good: pa.Array | None) -> None:
        """Add a batch's watermark column as COPY delivered it. good: booleans, the rows that count (None: all)."""
        values = check(self._field, watermarks).values
        largest = pc.max(values if good is None else values.filter(good)).as_py()
        if largest is not None and (self._largest is None or largest > self._largest):
            self._largest = largest

    @property
    def text(self) -> str | None:
        """As text; None: no row had a watermark."""
        return text_of_value(self._largest)


def largest(plan: TablePlan, watermarks: Iterable[str | None]) -> str | None:
    """The largest of several texts of LastWatermark, by the order of their type; None if all are None."""
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


def watermark_index(plan: TablePlan) -> int:
    """The index in a batch of the column with the watermarks: a field of the plan where it is read unchanged, else the
    column after the fields. (So no value is sent twice, which would cost time on both sides.)"""
    if plan.watermark is not None:
        for at, field in enumerate(plan.fields):
            if field.source == plan.watermark.name and field.type.read == _UNCHANGED:
                return at
    return len(plan.fields)


def extra_column(plan: TablePlan) -> list[tuple[Composable, str]]:
    """The watermark for the end of a SELECT list, with its name, where it is not among the plan's fields; else []."""
    if plan.watermark is None or watermark_index(plan) < len(plan.fields):
        return []
    return [(sql.watermark(plan), WATERMARK)]
