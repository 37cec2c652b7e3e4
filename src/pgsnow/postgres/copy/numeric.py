"""Decoding of numeric: digits to base 10,000 on the wire, decimals in Arrow, or exact text where those do not fit.

On the wire: ndigits, weight, sign and dscale, 16 bits each, then the digits: PostgreSQL source, numeric_send.
"""

from __future__ import annotations

from struct import Struct

import numpy as np
import pyarrow as pa

from pgsnow.postgres.copy.positions import Cells, Numbers
from pgsnow.postgres.copy.scalars import array_of

MAX_PRECISION = 18
"""Digits that 64 bits hold."""
_SPECIAL = {0xC000: "NaN", 0xD000: "Infinity", 0xF000: "-Infinity"}
_NEGATIVE = 0x4000
_HEAD = Struct(">HhHH")
_AT_ONCE = 4
"""Digits of the wire in 64 bits."""
_EVERY_OTHER = np.uint64(0x0000FFFF0000FFFF)
_MOST = 40
_POWERS = np.array([10 ** min(max(e, 0), 18) for e in range(-_MOST, _MOST + 1)], np.int64)


def numerics(cells: Cells, precision: int, scale: int) -> pa.Array:
    """A decimal128 array of this precision; an array of exact texts if the precision is 0 or above MAX_PRECISION, or a
    value is NaN, infinite or does not fit."""
    if 0 < precision <= MAX_PRECISION and 0 <= scale <= precision:
        found = _decimals(cells, precision, scale)
        limit = 10**precision
        if found is not None and (found < limit).all() and (found > -limit).all():
            wide = np.empty((len(found), 2), np.int64)
            wide[:, 0], wide[:, 1] = found, found >> 63
            return array_of(pa.decimal128(precision, scale), cells, pa.py_buffer(wide))
    return pa.array(_texts(cells), pa.string())


def _decimals(cells: Cells, precision: int, scale: int) -> Numbers | None:
    """Each value × 10^scale; None if one is special, or has digits beyond the scale.

    The digits of the wire end 0 to 3 decimals behind the scale, which are zeros: `further`."""
    further = -scale % 4
    words = 1 + -(-(precision + further + 3) // (4 * _AT_ONCE))
    sent = np.ascontiguousarray(cells.read(f"V{8 * words}")).view(">u8").reshape(cells.count, words)
    heads = sent[:, 0].astype(np.int64)
    if cells.nulls is not None:
        heads[cells.nulls] = 0
    digits, weight, sign, shown = heads >> 48, (heads << 16) >> 48, (heads >> 16) & 0xFFFF, heads & 0xFFFF
    most = int(digits.max(initial=0))
    if sign.max(initial=0) > _NEGATIVE or shown.max(initial=0) > scale or most > (words - 1) * _AT_ONCE:
        return None
    at_once = precision + further <= MAX_PRECISION
    found = np.zeros(cells.count, np.int64)
    for word in range(-(-most // _AT_ONCE)):
        first = word * _AT_ONCE
        here = np.clip(digits - first, 0, _AT_ONCE)
        last = weight - first - here + 1
        exponent = 4 * last + scale + (further if at_once else 0)
        found += _scaled(_four(sent[:, 1 + word].astype(np.uint64), here), exponent)
    if at_once and further:
        found //= 10**further
    return np.where(sign == _NEGATIVE, -found, found)


def _four(sent: Numbers, count: Numbers) -> Numbers:
    """The first of four digits of the wire, so many, as one number."""
    sent >>= ((_AT_ONCE - count) * 16 % 64).astype(np.uint64)
    sent[count == 0] = 0
    pairs = (sent & _EVERY_OTHER) + ((sent >> np.uint64(16)) & _EVERY_OTHER) * np.uint64(10**4)
    found: Numbers = (pairs & np.uint64(0xFFFFFFFF)) + (pairs >> np.uint64(32)) * np.uint64(10**8)
    return found.view(np.int64)


def _scaled(values: Numbers, exponent: Numbers) -> Numbers:
    """Values × 10^exponent. A negative exponent only removes zeros, as no value has more decimals than the scale."""
    found: Numbers = values * _POWERS.take(exponent + _MOST, mode="clip")
    if exponent.min(initial=0) < 0:
        found //= _POWERS.take(_MOST - exponent, mode="clip")
    return found


def _texts(cells: Cells) -> list[str | None]:
    missing = np.zeros(cells.count, bool) if cells.nulls is None else cells.nulls
    places = cells.values.listed().tolist()
    return [
        None if null else text_of(cells.memory, at) for at, null in zip(places, missing.tolist(), strict=True)
    ]


def text_of(memory: Numbers, at: int) -> str:
    """The value at this position as Postgres writes it."""
    count, weight, sign, decimals = _HEAD.unpack_from(memory.data, at)
    if sign in _SPECIAL:
        return _SPECIAL[sign]
    digits = Struct(f">{count}H").unpack_from(memory.data, at + _HEAD.size)
    before = "".join(f"{digit:04d}" for digit in digits[: max(weight + 1, 0)])
    before += "0" * 4 * (weight + 1 - count)
    after = "0" * 4 * (-1 - weight) + "".join(f"{digit:04d}" for digit in digits[max(weight + 1, 0) :])
    whole = before.lstrip("0") or "0"
    shown = f"{whole}.{after[:decimals].ljust(decimals, '0')}" if decimals else whole
    return f"-{shown}" if sign == _NEGATIVE else shown
