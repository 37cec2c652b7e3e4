"""`cast:` — a column as another type, exactly: a value that would lose something does not fit."""

from __future__ import annotations

from collections.abc import Callable
from datetime import time

import pyarrow as pa
import pyarrow.compute as pc

from pgsnow.model.types.mapping import TypeMapping
from pgsnow.sync.transform.coerce import Misfit, Misfits, check_json, is_json

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
_KEEPS_APART = {
    "int": {"decimal"},
    "decimal": {"int"},
    "timestamp": {"timestamptz"},
    "timestamptz": {"timestamp"},
}
_OUT_OF_RANGE = "<value out of range"
"""What Arrow writes for a date that its text form has no room for."""


def kind_of(mapping: TypeMapping) -> str:
    """The family of a type, as far as casts go."""
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


def is_possible(old: TypeMapping, new: TypeMapping) -> bool:
    """True if there is a cast between these types at all."""
    return kind_of(new) in _ALLOWED[kind_of(old)]


def keeps_apart(old: TypeMapping, new: TypeMapping) -> bool:
    """True if different values stay different, so that a key stays a key ('01' and '1' are one number)."""
    before, after = kind_of(old), kind_of(new)
    if after == "text" or (before == after and before != "float"):
        return True
    if old.postgres == "numeric":
        return after == "decimal"
    return after in _KEEPS_APART.get(before, ())


def cast(column: pa.Array, old: TypeMapping, new: TypeMapping) -> tuple[pa.Array, Misfits]:
    """`column` as `new.arrow`, NULL where a value does not fit, and why it does not."""
    if len(column) == 0:
        return pa.array([], new.arrow), {}
    return _where_it_fits(
        column, _cast_for(old, new), f"the value does not fit {new.postgres} exactly", new.arrow
    )


def _where_it_fits(column: pa.Array, one: Cast, reason: str, arrow: pa.DataType) -> tuple[pa.Array, Misfits]:
    """Halves the column until what does not fit stands alone."""
    try:
        return one(column), {}
    except (pa.ArrowInvalid, ValueError):
        if len(column) == 1:
            return pa.nulls(1, arrow), {0: reason}
    middle = len(column) // 2
    first, bad = _where_it_fits(column.slice(0, middle), one, reason, arrow)
    second, more = _where_it_fits(column.slice(middle), one, reason, arrow)
    return pa.concat_arrays([first, second]), bad | {at + middle: why for at, why in more.items()}


def _cast_for(old: TypeMapping, new: TypeMapping) -> Cast:
    before, after = kind_of(old), kind_of(new)
    if after == "json":
        return _to_json
    if after == "text":
        return as_text
    special = _SPECIAL.get((before, after))
    if special is not None:
        return lambda column: special(column, new.arrow)
    return lambda column: pc.cast(column, new.arrow)


def as_text(column: pa.Array) -> pa.Array:
    """Each value's text: `12.50`, `true`, `2024-01-31`, `2024-01-31 10:00:00.000000Z` (UTC). ValueError for a
    date that has none."""
    text = pc.cast(column, pa.string())
    if pa.types.is_temporal(column.type) and pc.any(pc.starts_with(text, _OUT_OF_RANGE)).as_py():
        raise Misfit("a date is out of range")
    return text


def _to_json(column: pa.Array) -> pa.Array:
    text = pc.cast(column, pa.string())
    for value in text.drop_null().to_pylist():
        check_json(value)
    return text


def _by_text(column: pa.Array, arrow: pa.DataType) -> pa.Array:
    """Arrow's own casts round float → decimal, and decimal → float is off by a bit; by way of text both are exact."""
    return pc.cast(pc.cast(column, pa.string()), arrow)


def _int_to_decimal(column: pa.Array, arrow: pa.DataType) -> pa.Array:
    return pc.cast(pc.cast(column, _WIDEST), arrow)


def _to_float(column: pa.Array, arrow: pa.DataType) -> pa.Array:
    """Arrow turns what is too large into infinity; only what was infinite may be so."""
    found = pc.cast(column, arrow)
    was = pc.match_substring(pc.cast(column, pa.string()), "inf", ignore_case=True)
    if pc.any(pc.and_not(pc.is_inf(found), was)).as_py():
        raise Misfit("a number is too large")
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
