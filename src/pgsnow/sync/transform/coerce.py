"""Converts Python values to an Arrow column, strictly: a value that does not fit is a failure, and is never
changed."""

from __future__ import annotations

import json
import math
import re
import struct
import uuid
from collections.abc import Callable, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from numbers import Integral, Real
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.compute as pc

from pgsnow.model.types.mapping import BINARY_LIMIT, TEXT_LIMIT, TypeMapping
from pgsnow.model.types.variant import SUSPECT, misfit

_SUSPECT = re.compile(SUSPECT)
Failures = dict[int, str]
"""Row → why its value does not fit."""


class CoercionError(ValueError):
    """A value that its column cannot hold; the text is the reason."""


def shortest(column: pa.Array) -> pa.Array:
    """A float32 column as the doubles of its shortest decimals: 3.4145, not 3.4144999980926514."""
    return pc.cast(pc.cast(column, pa.string()), pa.float64())


def is_json(kind: TypeMapping) -> bool:
    """True for types that are carried as JSON text and loaded as VARIANT."""
    return kind.snowflake == "VARIANT"


def coerced(values: Sequence[object], kind: TypeMapping) -> tuple[pa.Array, Failures]:
    """A column of these values, NULL where one does not fit, and the reasons by row."""
    check = _check_for(kind)
    failures: Failures = {}
    checked: list[object] = []
    for at, value in enumerate(values):
        try:
            checked.append(None if value is None else check(value))
        except CoercionError as error:
            failures[at] = str(error)
            checked.append(None)
    try:
        return pa.array(checked, kind.arrow), failures
    except (pa.ArrowException, ValueError, OverflowError):
        return _coerced_singly(checked, kind, failures)


def _coerced_singly(
    checked: list[object], kind: TypeMapping, failures: Failures
) -> tuple[pa.Array, Failures]:
    for at, value in enumerate(checked):
        try:
            pa.array([value], kind.arrow)
        except (pa.ArrowException, ValueError, OverflowError):
            failures[at] = f"a value is out of range of {kind.postgres}"
            checked[at] = None
    return pa.array(checked, kind.arrow), failures


def check_json(text: str) -> str:
    """The text, if it is JSON by RFC 8259 and a VARIANT holds it exactly. Raises CoercionError."""
    try:
        json.loads(text, parse_constant=_reject_constant)
    except (ValueError, RecursionError):
        raise CoercionError("the text is not valid JSON") from None
    if _SUSPECT.search(text) and (reason := misfit(text)) is not None:
        raise CoercionError(reason)
    return text


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _json(value: object) -> str:
    if isinstance(value, str):
        return _text(check_json(value))
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        raise CoercionError(f"a {type(value).__name__} cannot be written as JSON") from None
    return _text(check_json(text))


def _text(value: object) -> str:
    if not isinstance(value, str):
        _reject(value, "text")
    if len(value) * 4 > TEXT_LIMIT and len(value.encode("utf-8", "surrogatepass")) > TEXT_LIMIT:
        raise CoercionError(f"the text is longer than {TEXT_LIMIT} bytes")
    return str(value)


def _uuid(value: object) -> str:
    return str(value) if isinstance(value, uuid.UUID) else _text(value)


def _bytes(value: object) -> bytes:
    if not isinstance(value, (bytes, bytearray, memoryview)):
        _reject(value, "bytes")
    if len(value) > BINARY_LIMIT:
        raise CoercionError(f"the value is longer than {BINARY_LIMIT} bytes")
    return bytes(value)


def _bool(value: object) -> bool:
    return value if isinstance(value, bool) else _reject(value, "bool")


def _int(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral):
        _reject(value, "int")
    return int(value)


def _float(value: object) -> float | int:
    if isinstance(value, bool) or not isinstance(value, Real):
        _reject(value, "float")
    return int(value) if isinstance(value, Integral) else float(value)


def _float32(value: object) -> float | int:
    found = _float(value)
    if isinstance(found, float) and math.isfinite(found):
        try:
            struct.pack("<f", found)
        except OverflowError:
            raise CoercionError("a value is out of range of float4") from None
    return found


def _decimal(value: object) -> Decimal | int:
    if isinstance(value, bool) or not isinstance(value, (Decimal, Integral)):
        _reject(value, "Decimal or int")
    return value if isinstance(value, Decimal) else int(value)


def _date(value: object) -> date:
    return value if isinstance(value, date) and not isinstance(value, datetime) else _reject(value, "date")


def _time(value: object) -> time:
    return (
        value if isinstance(value, time) and value.tzinfo is None else _reject(value, "time without tzinfo")
    )


def _naive(value: object) -> datetime:
    fits = isinstance(value, datetime) and value.tzinfo is None
    return value if fits else _reject(value, "datetime without tzinfo")  # type: ignore[return-value]


def _aware(value: object) -> datetime:
    fits = isinstance(value, datetime) and value.utcoffset() is not None
    return value if fits else _reject(value, "datetime with tzinfo")  # type: ignore[return-value]


def _reject(value: object, wanted: str) -> NoReturn:
    raise CoercionError(f"the transform returned a {type(value).__name__} where the column takes {wanted}")


def _check_for(kind: TypeMapping) -> Callable[[Any], object]:
    if is_json(kind):
        return _json
    if kind.postgres == "uuid":
        return _uuid
    arrow = kind.arrow
    if pa.types.is_timestamp(arrow):
        return _naive if arrow.tz is None else _aware
    if kind.postgres == "float4":
        return _float32
    return next(check for is_kind, check in _CHECKS if is_kind(arrow))


_CHECKS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[Any], object]], ...] = (
    (pa.types.is_string, _text),
    (pa.types.is_integer, _int),
    (pa.types.is_boolean, _bool),
    (pa.types.is_decimal, _decimal),
    (pa.types.is_floating, _float),
    (pa.types.is_date, _date),
    (pa.types.is_time, _time),
    (pa.types.is_binary, _bytes),
)
