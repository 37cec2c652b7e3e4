"""Columns of texts, as Postgres writes values in the log, in the Arrow types in which COPY delivers them.

The texts are those of a session with TEXT_SETTINGS (postgres/connection.py). Values that Arrow cannot hold (infinite
dates, years before 1 or after 9999) become the numbers that the decoder of COPY makes of them, which wrap around, so
that postgres/convert treats both alike: text_values.py.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pgsnow.model.table import Column
from pgsnow.model.types.key_forms import CANONICAL
from pgsnow.model.types.mapping import Field
from pgsnow.postgres.replication.values.tuples import Numbers

Parse = Callable[[pa.Array], pa.Array]

_EPOCH_MICROSECONDS, _EPOCH_DAYS = 946_684_800_000_000, 10_957
"""2000-01-01, where Postgres counts from, since 1970-01-01."""
_DAY = 86_400_000_000
_YEAR = 4
"""Digits of a year that is not odd."""
_COLUMN = "{c}"
_AS_TEXT = "{c}::text"
_DATE = re.compile(r"(\d+)-(\d\d)-(\d\d)(?: (\d\d):(\d\d):(\d\d)(?:\.(\d+))?)?(?:\+00)?( BC)?\Z")


def parser_of(field: Field, column: Column, *, has_own_cast: bool) -> Parse | None:
    """The function that makes the column that COPY would deliver for this field from texts; None: only the source can.
    has_own_cast: the type has a cast to text that is not its output function. The function raises pa.ArrowInvalid for
    what is no text of the type."""
    if column.kind == "e":
        return _same
    if (known := _KNOWN.get((column.type_name, field.type.read))) is not None and column.kind == "b":
        return known
    return _same if field.type.read == _AS_TEXT and not has_own_cast else None


def _same(texts: pa.Array) -> pa.Array:
    return texts


def _as(kind: pa.DataType) -> Parse:
    return partial(_cast, kind=kind)


def _cast(texts: pa.Array, kind: pa.DataType) -> pa.Array:
    return texts.cast(kind)


def _without_sign_of_zero(texts: pa.Array, kind: pa.DataType) -> pa.Array:
    return pc.add(texts.cast(kind), pa.scalar(0.0, kind))


def _boolean(texts: pa.Array) -> pa.Array:
    true, false = pc.equal(texts, "t"), pc.equal(texts, "f")
    if pc.any(pc.invert(pc.or_(true, false))).as_py():
        raise pa.ArrowInvalid("neither t nor f")
    return true


def _bytes(texts: pa.Array) -> pa.Array:
    """`\\x` and two hexadecimal digits a byte."""
    if pc.any(pc.invert(pc.starts_with(texts, "\\x"))).as_py():
        raise pa.ArrowInvalid("bytea in another form than hex")
    edges, data = _parts(texts.fill_null("\\x"))
    digits = np.ones(len(data), bool)
    digits[edges[:-1]] = digits[edges[:-1] + 1] = False
    sizes = np.diff(edges) - 2
    try:
        found = binascii.unhexlify(data[digits].tobytes())
    except binascii.Error as error:
        raise pa.ArrowInvalid(f"bytea: {error}") from None
    if (sizes % 2).any():
        raise pa.ArrowInvalid("bytea with half of a byte")
    ends = np.zeros(len(texts) + 1, np.int32)
    np.cumsum(sizes // 2, out=ends[1:])
    bitmap = None
    if texts.null_count:
        valid = texts.is_valid().to_numpy(zero_copy_only=False)
        bitmap = pa.py_buffer(np.packbits(valid, bitorder="little"))
    return pa.Array.from_buffers(pa.binary(), len(texts), [bitmap, pa.py_buffer(ends), pa.py_buffer(found)])


def _parts(values: pa.Array) -> tuple[Numbers, Numbers]:
    """Where each value begins, and where the last one ends, in the bytes of all; and these bytes."""
    _validity, offsets, data = values.buffers()
    edges = np.frombuffer(offsets, np.int32)[values.offset : values.offset + len(values) + 1].astype(np.int64)
    first, last = int(edges[0]), int(edges[-1])
    return edges - first, np.frombuffer(data or b"", np.uint8)[first:last]


def _date(texts: pa.Array) -> pa.Array:
    regular, odd = _split(texts)
    days = regular.cast(pa.date32()).view(pa.int32())
    return _with(days, odd, texts, lambda text: _wrapped(_days(text), _EPOCH_DAYS, 32)).view(pa.date32())


def _moment(texts: pa.Array, kind: pa.DataType) -> pa.Array:
    regular, odd = _split(texts)
    if kind.tz is None and pc.any(pc.ends_with(regular, "+00")).as_py():
        raise pa.ArrowInvalid("a timestamp without time zone with an offset")
    if kind.tz is not None and pc.any(pc.invert(pc.ends_with(regular, "+00"))).as_py():
        raise pa.ArrowInvalid("a moment that is not in UTC")
    micros = regular.cast(kind).view(pa.int64())
    return _with(micros, odd, texts, lambda text: _wrapped(_micros(text), _EPOCH_MICROSECONDS, 64)).view(kind)


def _time(texts: pa.Array) -> pa.Array:
    """24:00:00 is one day in microseconds."""
    last = pc.equal(texts, "24:00:00")
    regular = pc.if_else(last, pa.scalar(None, pa.string()), texts)
    moments = pc.binary_join_element_wise(pa.scalar("1970-01-01"), regular, " ").cast(pa.timestamp("us"))
    return pc.if_else(last, pa.scalar(_DAY), moments.view(pa.int64())).view(pa.time64("us"))


def _split(texts: pa.Array) -> tuple[pa.Array, Numbers]:
    """Dates of the years 1 to 9999 (NULL for others), and the rows with others: infinite, before Christ, later."""
    edges, data = _parts(texts)
    sizes = np.diff(edges)
    has_fifth = sizes > _YEAR
    fifth = np.zeros(len(texts), np.uint8)
    fifth[has_fifth] = data[edges[:-1][has_fifth] + _YEAR]
    before_christ = pc.ends_with(texts, " BC").fill_null(False).to_numpy(zero_copy_only=False)
    missing = texts.is_null().to_numpy(zero_copy_only=False)
    regular = missing | ((fifth == ord("-")) & ~before_christ)
    odd = np.flatnonzero(~regular)
    return (pc.if_else(pa.array(regular), texts, pa.scalar(None, pa.string())) if len(odd) else texts), odd


def _with(numbers: pa.Array, rows: Numbers, texts: pa.Array, value: Callable[[str], int]) -> pa.Array:
    """The numbers, in these rows those of the texts."""
    if len(rows) == 0:
        return numbers
    values = numbers.to_pylist()
    for row in rows.tolist():
        values[row] = value(texts[row].as_py())
    return pa.array(values, numbers.type)


def _wrapped(sent: int | None, epoch: int, bits: int) -> int:
    """Number that the decoder of COPY has for a value: since 2000 plus the epoch, modulo 2^bits. sent: None for
    the largest one, infinity."""
    half = 1 << (bits - 1)
    number = half - 1 if sent is None else max(sent - epoch, -half)
    return (number + epoch + half) % (2 * half) - half


def _days(text: str) -> int | None:
    """Days since 1970; None: infinity. Minus infinity is below all others."""
    if text in ("infinity", "-infinity"):
        return None if text == "infinity" else -(1 << 80)
    found = _DATE.match(text)
    if found is None:
        raise pa.ArrowInvalid(f"no date: {text!r}")
    year = int(found[1]) if not found[8] else 1 - int(found[1])
    return _days_of(year, int(found[2]), int(found[3]))


def _micros(text: str) -> int | None:
    """Microseconds since 1970; None: infinity."""
    days = _days(text)
    found = _DATE.match(text)
    if found is None or days is None:
        return days
    if found[4] is None:
        raise pa.ArrowInvalid(f"no timestamp: {text!r}")
    seconds = int(found[4]) * 3600 + int(found[5]) * 60 + int(found[6])
    return days * _DAY + seconds * 1_000_000 + int((found[7] or "").ljust(6, "0")[:6])


def _days_of(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 in the Gregorian calendar of any year.

    http://howardhinnant.github.io/date_algorithms.html#days_from_civil"""
    year -= month <= 2
    era, of_era = divmod(year, 400)
    of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


def _without_padding(texts: pa.Array) -> pa.Array:
    return pc.ascii_rtrim(texts, characters=" ")


def _without_zeros(texts: pa.Array) -> pa.Array:
    """numeric without zeros at the end of its decimals."""
    shorter = pc.ascii_rtrim(pc.ascii_rtrim(texts, characters="0"), characters=".")
    return pc.if_else(pc.match_substring(texts, "."), shorter, texts)


def _with_mask(texts: pa.Array) -> pa.Array:
    """An address as its cast to text writes it: with the mask of a host, which the output function leaves out."""
    whole = pc.if_else(pc.match_substring(texts, ":"), "/128", "/32")
    return pc.if_else(pc.match_substring(texts, "/"), texts, pc.binary_join_element_wise(texts, whole, ""))


_TEXTS = frozenset({"text", "varchar", "bpchar", "name", "json", "jsonb", "numeric"})
_OWN_TEXTS = frozenset(
    {
        *("numeric", "char", "uuid", "bit", "varbit", "timetz", "interval", "date", "time", "timestamp"),
        *("timestamptz", "jsonpath", "macaddr", "macaddr8", "cidr"),
    }
)
"""Types whose text is what their cast to text gives; others are looked up."""
_FLOAT4, _FLOAT8 = CANONICAL["float4"][0], CANONICAL["float8"][0]
_KNOWN: dict[tuple[str, str], Parse] = {
    **{(name, _COLUMN): _same for name in _TEXTS},
    **{(name, _AS_TEXT): _same for name in _OWN_TEXTS},
    ("bool", _COLUMN): _boolean,
    ("int2", _COLUMN): _as(pa.int16()),
    ("int4", _COLUMN): _as(pa.int32()),
    ("int8", _COLUMN): _as(pa.int64()),
    ("oid", "{c}::int8"): _as(pa.int64()),
    ("float4", "{c}::text::float8"): _as(pa.float64()),
    ("float4", _FLOAT4): partial(_without_sign_of_zero, kind=pa.float64()),
    ("float4", _COLUMN): _as(pa.float32()),
    ("float4", "{c} + 0::float4"): partial(_without_sign_of_zero, kind=pa.float32()),
    ("float8", _COLUMN): _as(pa.float64()),
    ("float8", _FLOAT8): partial(_without_sign_of_zero, kind=pa.float64()),
    ("numeric", CANONICAL["numeric"][0]): _without_zeros,
    ("bpchar", _AS_TEXT): _without_padding,
    ("bytea", _COLUMN): _bytes,
    ("date", _COLUMN): _date,
    ("time", _COLUMN): _time,
    ("timestamp", _COLUMN): partial(_moment, kind=pa.timestamp("us")),
    ("timestamptz", _COLUMN): partial(_moment, kind=pa.timestamp("us", tz="UTC")),
    ("inet", _AS_TEXT): _with_mask,
}
"""(type, expression that it is read with) → how its texts are parsed."""
