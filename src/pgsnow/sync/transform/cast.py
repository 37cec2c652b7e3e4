"""Casts for `cast:`: an exact conversion of a column to another type; a value that would change is a failure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import time

import pyarrow as pa
import pyarrow.compute as pc

from pgsnow.model.types.mapping import TypeMapping
from pgsnow.sync.transform.coerce import CoercionError, Failures, check_json, is_json, shortest

Cast = Callable[[pa.Array], pa.Array]

_WIDEST = pa.decimal128(38, 0)
_ALLOWED = {
    "text": {"text", "json", "int", "decimal", "float", "bool", "binary", "date", "time", "timestamp", "timestamptz"},
    "json": {"text", "json"},
    "int": {"int", "decimal", "float", "text", "json"},
    "decimal": {"int", "decimal", "float", "text", "json"},
    "float": {"int", "decimal", "float", "text", "json"},
    "bool": {"bool", "int", "text", "json"},
    "binary": {"binary", "text"},
    "date": {"date", "timestamp", "timestamptz", "text"},
    "time": {"time", "text"},
    "timestamp": {"timestamp", "timestamptz", "date", "time", "text"},
    "timestamptz": {"timestamp", "timestamptz", "date", "time", "text"},
}  # fmt: skip
_DISTINCT_AFTER = {
    "int": {"decimal"},
    "decimal": {"int"},
    "timestamp": {"timestamptz"},
    "timestamptz": {"timestamp"},
}
_OUT_OF_RANGE = "<value out of range"
"""Arrow's text for a date that it cannot format."""


def type_family(mapping: TypeMapping) -> str:
    """The type's family (text, json, int, …): casts are allowed between families."""
    if is_json(mapping):
        return "json"
    if pa.types.is_timestamp(mapping.arrow):
        return "timestamp" if mapping.arrow.tz is None else "timestamptz"
    return next(name for name, is_kind in _KINDS.items() if is_kind(mapping.arrow))


_KINDS: dict[str, Callable[[pa.DataType], bool]] = {
    "text": pa.types.is_string,
    "int": pa.types.is_integer,
    "decimal": pa.types.is_decimal,
    "float": pa.types.is_floating,
    "bool": pa.types.is_boolean,
    "binary": pa.types.is_binary,
    "date": pa.types.is_date,
    "time": pa.types.is_time,
}


def can_cast(old: TypeMapping, new: TypeMapping) -> bool:
    """True if values of the old type can be cast to the new one."""
    return type_family(new) in _ALLOWED[type_family(old)]


def preserves_distinctness(old: TypeMapping, new: TypeMapping) -> bool:
    """True if different values stay different, so that a key stays a key (the texts '01' and '1' are one number)."""
    before, after = type_family(old), type_family(new)
    if after == "text" or (before == after and before != "float"):
        return True
    if old.postgres == "numeric":
        return after == "decimal"
    return after in _DISTINCT_AFTER.get(before, ())


def cast(column: pa.Array, old: TypeMapping, new: TypeMapping) -> tuple[pa.Array, Failures]:
    """`column` as `new.arrow`, NULL where a value does not fit, and the reasons by row."""
    if len(column) == 0:
        return pa.array([], new.arrow), {}
    return _cast_by_halves(
        column, _cast_for(old, new), f"the value does not fit {new.postgres} exactly", new.arrow
    )


def _cast_by_halves(
    column: pa.Array, one: Cast, reason: str, arrow: pa.DataType
) -> tuple[pa.Array, Failures]:
    """Cast; on failure halve the column until each failing value is isolated."""
    try:
        return one(column), {}
    except (pa.ArrowInvalid, ValueError):
        if len(column) == 1:
            return pa.nulls(1, arrow), {0: reason}
    middle = len(column) // 2
    first, bad = _cast_by_halves(column.slice(0, middle), one, reason, arrow)
    second, more = _cast_by_halves(column.slice(middle), one, reason, arrow)
    return pa.concat_arrays([first, second]), bad | {at + middle: why for at, why in more.items()}


def _cast_for(old: TypeMapping, new: TypeMapping) -> Cast:
    before, after = type_family(old), type_family(new)
    if after == "json":
        return _to_json
    if after == "text":
        return as_text
    convert = _SPECIAL.get((before, after), pc.cast)
    if new.postgres == "float4":
        return lambda column: shortest(convert(column, pa.float32()))
    return lambda column: convert(column, new.arrow)


def as_text(column: pa.Array) -> pa.Array:
    """Each value's text: `12.50`, `true`, `2024-01-31`, `2024-01-31 10:00:00.000000Z` (UTC). Raises
    CoercionError for a date that has no text."""
    text = pc.cast(column, pa.string())
    if pa.types.is_temporal(column.type) and pc.any(pc.starts_with(text, _OUT_OF_RANGE)).as_py():
        raise CoercionError("a date is out of range")
    return text


def _to_json(column: pa.Array) -> pa.Array:
    text = pc.cast(column, pa.string())
    for value in text.drop_null().to_pylist():
        check_json(value)
    return text


def _by_text(column: pa.Array, arrow: pa.DataType) -> pa.Array:
    """Cast through text, which is exact: Arrow rounds float → decimal, and decimal → float is off by a bit."""
    return pc.cast(pc.cast(column, pa.string()), arrow)


def _int_to_decimal(column: pa.Array, arrow: pa.DataType) -> pa.Array:
    return pc.cast(pc.cast(column, _WIDEST), arrow)


def _to_float(column: pa.Array, arrow: pa.DataType) -> pa.Array:
    """Cast to float. Arrow turns numbers that are too large into infinity; only values that were infinite may be."""
    found = pc.cast(column, arrow)
    was = pc.match_substring(pc.cast(column, pa.string()), "inf", ignore_case=True)
    if pc.any(pc.and_not(pc.is_inf(found), was)).as_py():
        raise CoercionError("a number is too large")
    return found


def _text_to_time(column: pa.Array, arrow: pa.DataType) -> pa.Array:
    return pa.array([None if v is None else time.fromisoformat(v) for v in column.to_pylist()], arrow)


_SPECIAL: dict[tuple[str, str], Callable[[pa.Array, pa.DataType], pa.Array]] = {
    ("float", "decimal"): _by_text,
    ("decimal", "float"): _by_text,
    ("int", "decimal"): _int_to_decimal,
    ("float", "float"): _to_float,
    ("text", "float"): _to_float,
    ("text", "time"): _text_to_time,
}
