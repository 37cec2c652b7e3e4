"""Canonical form of a value from Postgres or Snowflake, so that values are compared and not their spelling."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from pgsnow.model.types.mapping import Field
from pgsnow.model.types.overflow import Overflow
from pgsnow.operations.verify.overflow import nearest, overflows


def from_postgres(field: Field, text: str | None) -> Any:
    """The canonical value of Postgres's own text for a column (`TypeMapping.text`), after `on_overflow`."""
    if text is None:
        return None
    if field.overflow is not Overflow.REJECT and overflows(field, text):
        return nearest(field, text) if field.overflow is Overflow.CLAMP else None
    try:
        return _float4(text) if field.type.carried == "float" else _TEXT[_kind(field)](text)
    except (ValueError, ArithmeticError):
        return ("unparsable", text)


def from_snowflake(field: Field, value: Any) -> Any:
    """The canonical value of what the Snowflake connector returns."""
    if value is None:
        return None
    return _VALUE[_kind(field)](value)


def plain(value: Any) -> Any:
    """A canonical value as people and JSON write it: numbers without an exponent, bytes in hexadecimal, JSON values as
    JSON text."""
    if isinstance(value, tuple) and len(value) == 2 and value[0] in ("unparsable", "overflow"):
        return value[1]
    if isinstance(value, tuple):
        return _json_text(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, (bytes, bytearray)):
        return f"\\x{value.hex()}"
    return value.isoformat(" ") if isinstance(value, datetime) else value


def _json_text(value: tuple[str, Any]) -> str:
    """The JSON text of what `_json_value` made of a value, with every digit."""
    kind, held = value
    if kind == "object":
        return f"{{{', '.join(f'{json.dumps(key)}: {_json_text(item)}' for key, item in held)}}}"
    if kind == "array":
        return f"[{', '.join(map(_json_text, held))}]"
    return format(held, "f") if kind == "number" else json.dumps(held, ensure_ascii=False)


def _kind(field: Field) -> str:
    return field.type.snowflake.partition("(")[0]


def _number(value: Any) -> Any:
    number = Decimal(value)  # Decimals are equal by value, 1.50 to 1.5, whatever their precision
    return number if number.is_finite() else str(number)


def _float(value: Any) -> Any:
    number = float(value)
    return "NaN" if math.isnan(number) else number


def _float4(text: str) -> Any:
    """The double with the same value as this float4, with `real_values: exact`: 0.10000000149011612 for 0.1."""
    return _float(struct.unpack("<f", struct.pack("<f", float(text)))[0])


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def _instant(text: str) -> datetime:
    return _utc(datetime.fromisoformat(text))


def _json(text: str) -> Any:
    return _json_value(json.loads(text, parse_float=Decimal, parse_int=Decimal))


def _json_value(value: Any) -> Any:
    """JSON values compare as Snowflake's VARIANT does: objects without order, numbers by value."""
    if isinstance(value, dict):
        return ("object", tuple(sorted((key, _json_value(item)) for key, item in value.items())))
    if isinstance(value, list):
        return ("array", tuple(_json_value(item) for item in value))
    if isinstance(value, Decimal):
        return ("number", value)
    return (type(value).__name__, value)


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("\\x"))


_TEXT: dict[str, Callable[[str], Any]] = {
    "NUMBER": _number,
    "FLOAT": _float,
    "BOOLEAN": lambda text: text in ("t", "true"),
    "VARCHAR": str,
    "BINARY": _bytes,
    "DATE": date.fromisoformat,
    "TIME": time.fromisoformat,
    "TIMESTAMP_NTZ": datetime.fromisoformat,
    "TIMESTAMP_TZ": _instant,
    "VARIANT": _json,
}

_VALUE: dict[str, Callable[[Any], Any]] = {
    "NUMBER": _number,
    "FLOAT": _float,
    "BOOLEAN": bool,
    "VARCHAR": str,
    "BINARY": bytes,
    "DATE": lambda value: value,
    "TIME": lambda value: value,
    "TIMESTAMP_NTZ": lambda value: value,
    "TIMESTAMP_TZ": _utc,
    "VARIANT": _json,
}
