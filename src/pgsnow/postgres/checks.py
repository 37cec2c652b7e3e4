"""From what the driver hands over to the exact Arrow type of the type map, column by column.

Each check works on whole columns; only rows that turn out bad cost a Python object. What the driver does to
values was measured against adbc-driver-postgresql 1.13: infinite timestamps and dates wrap around to garbage that
lies outside of the years 1 to 9999 (the distance between the epochs is 30 years, the overshoot no more), so the range
check finds them; numeric comes as exact text, NaN as `nan`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pgsnow.model.typemap import BINARY_LIMIT, TEXT_LIMIT, Field
from pgsnow.postgres.values import FIRST_DAY, LAST_DAY, MICROSECONDS_A_DAY, text_at

_FIRST_MICROSECOND = FIRST_DAY * MICROSECONDS_A_DAY
_LAST_MICROSECOND = (LAST_DAY + 1) * MICROSECONDS_A_DAY - 1


@dataclass(frozen=True, slots=True)
class Checked:
    """A column in its final type; bad rows, if any, are NULL in it and say why."""

    values: pa.Array
    bad: pa.Array | None = None
    """Booleans without NULL, or None if every row is good."""
    why: Callable[[int], str] = lambda _row: ""


def check(field: Field, arrived: pa.Array) -> Checked:
    """Raises pa.ArrowInvalid if the column is of another type altogether."""
    array = arrived.storage if isinstance(arrived.type, pa.BaseExtensionType) else arrived
    wanted = field.type.arrow
    if pa.types.is_decimal(wanted):
        return _decimal(field, array)
    if pa.types.is_timestamp(wanted):
        return _ranged(field, array, pa.int64(), _FIRST_MICROSECOND, _LAST_MICROSECOND)
    if pa.types.is_date32(wanted):
        return _ranged(field, array, pa.int32(), FIRST_DAY, LAST_DAY)
    if pa.types.is_time64(wanted):
        return _ranged(field, array, pa.int64(), 0, MICROSECONDS_A_DAY - 1)
    if pa.types.is_string(wanted) or pa.types.is_binary(wanted):
        return _sized(field, array, TEXT_LIMIT if pa.types.is_string(wanted) else BINARY_LIMIT)
    _require(array, wanted)
    return Checked(array)


def null_key(array: pa.Array, field: Field) -> Checked | None:
    """A key column with NULLs: such rows have no key."""
    if not (field.key and array.null_count):
        return None
    return Checked(array, array.is_null(), lambda _row: "the key is NULL")


def invalid_text(array: pa.Array) -> Checked | None:
    """Text that is not UTF-8, which a database with encoding SQL_ASCII may hold."""
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        broken = [value is not None and not _is_utf8(value) for value in array.cast(pa.binary()).to_pylist()]
        return _without(array, pa.array(broken), lambda _row: "the text is not UTF-8")
    return None


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _without(values: pa.Array, bad: pa.Array, why: Callable[[int], str]) -> Checked:
    return Checked(pc.if_else(bad, pa.scalar(None, values.type), values), bad, why)


def _ranged(field: Field, array: pa.Array, raw: pa.DataType, lowest: int, highest: int) -> Checked:
    _require(array, field.type.arrow)
    numbers = array.view(raw)
    extremes = pc.min_max(numbers).as_py()
    if extremes["min"] is None or (extremes["min"] >= lowest and extremes["max"] <= highest):
        return Checked(array)
    outside = pc.or_(pc.less(numbers, lowest), pc.greater(numbers, highest)).fill_null(False)
    return _without(array, outside, lambda row: f"{field.type.snowflake} cannot hold {text_at(array, row)}")


def _sized(field: Field, array: pa.Array, limit: int) -> Checked:
    _require(array, field.type.arrow)
    if array.nbytes <= limit:
        return Checked(array)
    sizes = pc.binary_length(array)
    if (pc.max(sizes).as_py() or 0) <= limit:
        return Checked(array)
    kind = field.type.snowflake
    return _without(
        array,
        pc.greater(sizes, limit).fill_null(False),
        lambda row: f"{sizes[row].as_py()} bytes; {kind} holds at most {limit}",
    )


def _decimal(field: Field, array: pa.Array) -> Checked:
    wanted = field.type.arrow
    _require(array, pa.string())
    try:
        return Checked(array.cast(wanted))
    except pa.ArrowInvalid:
        bad = pa.array([not _fits(value, wanted) for value in array])
        values = pc.if_else(bad, pa.scalar(None, array.type), array).cast(wanted)
        return Checked(values, bad, lambda row: f"{field.type.snowflake} cannot hold {_shown(array[row])}")


def _shown(value: pa.Scalar) -> str:
    text = str(value.as_py())
    return "NaN" if text == "nan" else text


def _fits(value: pa.Scalar, wanted: pa.DataType) -> bool:
    try:
        value.cast(wanted)
    except pa.ArrowInvalid:
        return False
    return True


def _require(array: pa.Array, wanted: pa.DataType) -> None:
    if array.type != wanted:
        raise pa.ArrowInvalid(f"{array.type} instead of {wanted}")
