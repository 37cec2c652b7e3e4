"""Checks that turn a column as COPY delivers it into the exact Arrow type of the type map.

Each check works on whole columns; only rows that turn out bad cost a Python object. Infinite timestamps and dates wrap
around to garbage that lies outside of the years 1 to 9999 (the distance between the epochs is 30 years, the overshoot
no more), so the range check finds them. numeric comes as a decimal, or as exact text if a batch has values
that are none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pgsnow.model.types.mapping import BINARY_LIMIT, TEXT_LIMIT, Field, without_overflow
from pgsnow.model.types.overflow import NEVER_OF_KEYS, Overflow, beginning
from pgsnow.model.types.variant import misfit
from pgsnow.postgres.convert.json_scan import rows_to_inspect
from pgsnow.postgres.text_values import FIRST_DAY, LAST_DAY, MICROSECONDS_A_DAY, is_before_2000, text_at

_FIRST_MICROSECOND = FIRST_DAY * MICROSECONDS_A_DAY
_LAST_MICROSECOND = (LAST_DAY + 1) * MICROSECONDS_A_DAY - 1


@dataclass(frozen=True, slots=True)
class Checked:
    """A column in its final type. Bad rows are NULL in it; `why` gives the reason by row index."""

    values: pa.Array
    bad: pa.Array | None = None
    """Which rows are bad: booleans without NULL, or None if every row is good."""
    why: Callable[[int], str] = lambda _row: ""
    changed: pa.Array | None = None
    """Which cells `on_overflow` has changed: booleans without NULL, or None if none."""
    admitted_by: Callable[[int], tuple[str, ...]] = lambda _row: ()
    """The choices of `on_overflow` that would accept the value of a bad row, by row index."""


def check(field: Field, column: pa.Array) -> Checked:
    """The column in its field's type. Raises pa.ArrowInvalid if it does not have the type that the field is read as."""
    array = column.storage if isinstance(column.type, pa.BaseExtensionType) else column
    wanted = field.type.arrow
    if pa.types.is_decimal(wanted):
        return _decimal(field, array)
    if pa.types.is_timestamp(wanted):
        return _ranged(field, array, pa.int64(), _FIRST_MICROSECOND, _LAST_MICROSECOND)
    if pa.types.is_date32(wanted):
        return _ranged(field, array, pa.int32(), FIRST_DAY, LAST_DAY)
    if pa.types.is_time64(wanted):
        return _ranged(field, array, pa.int64(), 0, MICROSECONDS_A_DAY - 1)
    if field.type.snowflake == "VARIANT":
        return _variant(field, array)
    if pa.types.is_string(wanted) or pa.types.is_binary(wanted):
        return _sized(field, array, TEXT_LIMIT if pa.types.is_string(wanted) else BINARY_LIMIT)
    _require(array, wanted)
    return Checked(array)


def null_key(array: pa.Array, field: Field) -> Checked | None:
    """The rows whose key is NULL, if this is a key column and has any."""
    if not (field.key and array.null_count):
        return None
    return Checked(array, array.is_null(), lambda _row: "the key is NULL")


def invalid_text(column: pa.Array) -> Checked | None:
    """The rows whose text is not UTF-8, if any: a database with encoding SQL_ASCII may hold such text. They are found
    before anything else looks at the values."""
    array = column.storage if isinstance(column.type, pa.BaseExtensionType) else column
    if not pa.types.is_string(array.type):
        return None
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
    return Checked(_blanked(values, bad), bad, why)


def _blanked(values: pa.Array, bad: pa.Array) -> pa.Array:
    return pc.if_else(bad, pa.scalar(None, values.type), values)


def _overflown(
    field: Field,
    values: pa.Array,
    bad: pa.Array,
    why: Callable[[int], str],
    nearest: Callable[[], pa.Array] | None = None,
    *,
    as_text: bool = True,
) -> Checked:
    """Apply `on_overflow` to values that the type cannot hold. nearest: makes the column with the closest values in
    their place, if there are such. as_text: the values' text would fit."""
    if field.overflow is Overflow.NULL:
        return Checked(_blanked(values, bad), changed=bad)
    if field.overflow is Overflow.CLAMP and nearest is not None:
        return Checked(nearest(), changed=bad)
    choices = admitting(field, as_text=as_text, clamps=nearest is not None)
    return Checked(_blanked(values, bad), bad, why, admitted_by=lambda _row: choices)


def admitting(field: Field, *, as_text: bool, clamps: bool) -> tuple[str, ...]:
    """The choices of `on_overflow` under which a value that the field's type cannot hold is loaded. as_text: its text
    would fit. clamps: there is a nearest value."""
    texts = as_text and without_overflow(field.type) != field.type
    choices = ((Overflow.CLAMP, clamps), (Overflow.NULL, True), (Overflow.TEXT, texts))
    return tuple(
        choice.value for choice, accepts in choices if accepts and not (field.key and choice in NEVER_OF_KEYS)
    )


def _ranged(field: Field, array: pa.Array, raw: pa.DataType, lowest: int, highest: int) -> Checked:
    _require(array, field.type.arrow)
    numbers = array.view(raw)
    extremes = pc.min_max(numbers).as_py()
    if extremes["min"] is None or (extremes["min"] >= lowest and extremes["max"] <= highest):
        return Checked(array)
    outside = pc.or_(pc.less(numbers, lowest), pc.greater(numbers, highest)).fill_null(False)

    def nearest() -> pa.Array:
        end = pc.if_else(is_before_2000(array), pa.scalar(lowest, raw), pa.scalar(highest, raw))
        return pc.if_else(outside, end, numbers).view(array.type)

    def why(row: int) -> str:
        return f"{field.type.snowflake} cannot hold {text_at(array, row)}"

    return _overflown(field, array, outside, why, nearest)


def _sized(field: Field, array: pa.Array, limit: int) -> Checked:
    _require(array, field.type.arrow)
    if array.nbytes <= limit:
        return Checked(array)
    sizes = pc.binary_length(array)
    if (pc.max(sizes).as_py() or 0) <= limit:
        return Checked(array)
    kind = field.type.snowflake
    too_long = pc.greater(sizes, limit).fill_null(False)
    return _overflown(
        field,
        array,
        too_long,
        lambda row: f"{sizes[row].as_py()} bytes; {kind} holds at most {limit}",
        None if kind == "VARIANT" else lambda: _cut(array, too_long, limit),
        as_text=False,
    )


def _cut(array: pa.Array, too_long: pa.Array, limit: int) -> pa.Array:
    """The column with oversize values cut to at most `limit` bytes, at the end of a character."""
    starts = [
        beginning(value.as_py(), limit) if long.as_py() else None
        for value, long in zip(array, too_long, strict=True)
    ]
    return pc.if_else(too_long, pa.array(starts, array.type), array)


def _variant(field: Field, array: pa.Array) -> Checked:
    sized = _sized(field, array, TEXT_LIMIT)
    reasons = {row: misfit(sized.values[row].as_py()) for row in rows_to_inspect(field, sized.values)}
    reasons = {row: reason for row, reason in reasons.items() if reason is not None}
    if not reasons:
        return sized
    bad = pa.array([row in reasons for row in range(len(array))])
    found = _overflown(field, sized.values, bad, lambda row: str(reasons[row]))
    return _joined(sized, found)


def _joined(first: Checked, second: Checked) -> Checked:
    """The result of two checks of one column, the second of which saw the values that the first has left."""

    def of(row: int) -> Checked:
        return first if first.bad is not None and first.bad[row].as_py() else second

    return Checked(
        second.values, either(first.bad, second.bad), lambda row: of(row).why(row),
        either(first.changed, second.changed), lambda row: of(row).admitted_by(row),
    )  # fmt: skip


def either(one: pa.Array | None, other: pa.Array | None) -> pa.Array | None:
    """The rows that are set in one of two masks; None is an empty mask."""
    return one if other is None else other if one is None else pc.or_(one, other)


def _decimal(field: Field, array: pa.Array) -> Checked:
    wanted = field.type.arrow
    if array.type == wanted:
        return Checked(array)
    _require(array, pa.string())
    try:
        return Checked(array.cast(wanted))
    except pa.ArrowInvalid:
        bad = pa.array([not _fits(value, wanted) for value in array])
        values = _blanked(array, bad).cast(wanted)
        return _overflown(
            field, values, bad, lambda row: f"{field.type.snowflake} cannot hold {_shown(array[row])}"
        )


def _shown(value: pa.Scalar) -> str:
    return str(value.as_py())


def _fits(value: pa.Scalar, wanted: pa.DataType) -> bool:
    try:
        value.cast(wanted)
    except pa.ArrowInvalid:
        return False
    return True


def _require(array: pa.Array, wanted: pa.DataType) -> None:
    if array.type != wanted:
        raise pa.ArrowInvalid(f"{array.type} instead of {wanted}")
