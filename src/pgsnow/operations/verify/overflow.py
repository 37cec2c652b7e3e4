"""Effect of `on_overflow` on a value, computed from Postgres's own text, so that the sync's code does not
check itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time
from typing import Any

from pgsnow.model.types.mapping import BINARY_LIMIT, TEXT_LIMIT, Field
from pgsnow.model.types.overflow import beginning
from pgsnow.model.types.variant import misfit

_LOWEST: dict[str, Any] = {
    "DATE": date.min,
    "TIMESTAMP_NTZ": datetime.min,
    "TIMESTAMP_TZ": datetime.min.replace(tzinfo=UTC),
}
_HIGHEST: dict[str, Any] = {
    "DATE": date.max,
    "TIME": time.max,
    "TIMESTAMP_NTZ": datetime.max,
    "TIMESTAMP_TZ": datetime.max.replace(tzinfo=UTC),
}


def overflows(field: Field, text: str) -> bool:
    """True if the field's type in Snowflake does not hold this value."""
    check = _CHECKS.get(_family(field))
    return check is not None and check(text)


def nearest(field: Field, text: str) -> Any:
    """The closest value that the type holds; for a type without one, a value that equals no loaded value."""
    family = _family(field)
    if family == "VARCHAR":
        return beginning(text, TEXT_LIMIT)
    if family == "BINARY":
        return bytes.fromhex(text.removeprefix("\\x")[: 2 * BINARY_LIMIT])
    early = text.startswith("-") or text.endswith(" BC")
    ends = _LOWEST if early else _HIGHEST
    return ends.get(family, ("overflow", text))


def _family(field: Field) -> str:
    return field.type.snowflake.partition("(")[0]


def _is_no_moment(text: str) -> bool:
    """True for a date outside the years 1 to 9999, which Postgres writes with ` BC` or a fifth digit."""
    return "infinity" in text or text.endswith(" BC") or text.index("-") > 4


_CHECKS: dict[str, Callable[[str], bool]] = {
    "NUMBER": lambda text: text == "NaN",
    "VARCHAR": lambda text: len(text) * 4 > TEXT_LIMIT and len(text.encode()) > TEXT_LIMIT,
    "BINARY": lambda text: len(text) - 2 > 2 * BINARY_LIMIT,
    "VARIANT": lambda text: len(text.encode()) > TEXT_LIMIT or misfit(text) is not None,
    "DATE": _is_no_moment,
    "TIME": lambda text: text.startswith("24"),
    "TIMESTAMP_NTZ": _is_no_moment,
    "TIMESTAMP_TZ": _is_no_moment,
}
