"""Cells of both ends in one form, so that equal cells are equal objects. Shares no code with pgsnow.

The form is chosen by the type of the target's column, as the Snowflake connector names it: a cell of the source is its
Postgres text, one of the target is the Python object that the connector returns. Text that does not fit the target's
type stays text, which equals nothing that the target can hold.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from fractions import Fraction
from typing import Any

MOMENT = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.(\d{1,6}))?(?:\+00)?")
CLOCK = re.compile(r"(\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?")


def source_cell(text: str | None, target_type: str) -> Any:
    """The Postgres text of a cell, to be compared with a target column of this type."""
    if text is None:
        return None
    try:
        if target_type == "REAL":
            return _bits(float(text))
        return FROM_TEXT[target_type](text)
    except (ValueError, OverflowError):
        return f"not {target_type}: {text}"


def target_cell(value: Any, target_type: str) -> Any:
    """A cell as the connector returns it."""
    return None if value is None else FROM_TARGET[target_type](value)


DOCUMENTS = json.JSONDecoder(parse_int=Fraction, parse_float=Fraction)


def _bits(number: float) -> str:
    """All 64 bits, because 0.0 and -0.0 are equal and NaN is not equal to itself."""
    return "NaN" if math.isnan(number) else struct.pack(">d", number).hex()


def _number(value: Any) -> Any:
    return Fraction(str(value))


def _padded(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.fullmatch(text)
    if found is None:
        raise ValueError(text)
    return f"{found[1]}.{found[2] or '':0<6}"


def _moment(value: datetime) -> str:
    in_utc = value.astimezone(UTC) if value.tzinfo else value
    return in_utc.replace(tzinfo=None).isoformat(" ", "microseconds")


def _document(text: str) -> Any:
    return _json(DOCUMENTS.decode(text))


def _json(value: Any) -> Any:
    """Hashable; objects without the order of their names, numbers by value, true apart from 1."""
    if isinstance(value, dict):
        return ("object", frozenset((name, _json(item)) for name, item in value.items()))
    if isinstance(value, list):
        return ("array", tuple(_json(item) for item in value))
    return (type(value).__name__, value)


FROM_TEXT: dict[str, Callable[[str], Any]] = {
    "FIXED": _number,
    "TEXT": str,
    "BOOLEAN": {"t": True, "f": False}.__getitem__,
    "BINARY": lambda text: text.removeprefix("\\x"),
    "DATE": str,
    "TIME": lambda text: _padded(CLOCK, text),
    "TIMESTAMP_NTZ": lambda text: _padded(MOMENT, text),
    "TIMESTAMP_TZ": lambda text: _padded(MOMENT, text),
    "VARIANT": _document,
}
FROM_TARGET: dict[str, Callable[[Any], Any]] = {
    "FIXED": _number,
    "REAL": _bits,
    "TEXT": str,
    "BOOLEAN": bool,
    "BINARY": lambda value: bytes(value).hex(),
    "DATE": date.isoformat,
    "TIME": lambda value: time.isoformat(value, "microseconds"),
    "TIMESTAMP_NTZ": _moment,
    "TIMESTAMP_TZ": _moment,
    "VARIANT": _document,
}
