"""The canonical text of values in Python, as model/types/canonical_text.py has it in SQL: of values that Arrow, a part
file or the connector returns."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from pgsnow.model.key_range import Key
from pgsnow.model.types.mapping import Field
from pgsnow.sync.compare.answers import float_text


def key_of_values(values: Sequence[Any], fields: Sequence[Field]) -> Key:
    """The key with these values. fields: the key's, as loaded."""
    return tuple(map(value_text, values, fields))


def value_text(value: Any, field: Field) -> str:
    """The canonical text of a value that is not NULL."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (bytes, bytearray)):
        return value.hex()
    if isinstance(value, datetime):
        if field.type.snowflake.startswith("TIMESTAMP_TZ"):
            return _short(f"{value.astimezone(UTC).replace(tzinfo=None):%Y-%m-%d %H:%M:%S.%f}") + "+00"
        return _short(value.isoformat(" ", "microseconds"))
    if isinstance(value, time):
        return _short(value.isoformat("microseconds"))
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float):
        return float_text(value)
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _short(text: str) -> str:
    """The text without zeros at the end of its fraction."""
    return text.rstrip("0").rstrip(".") if "." in text else text
