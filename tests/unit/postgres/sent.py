"""What a server sends for rows, made here from the protocol's documentation, independently of what reads it."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

EPOCH = datetime(2000, 1, 1)
HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)


def message(kind: bytes, said: bytes = b"") -> bytes:
    return kind + struct.pack(">I", len(said) + 4) + said


def copy_of(rows: Sequence[Sequence[bytes | None]]) -> bytes:
    """The answer to a COPY in binary format that goes well."""
    fields = [b"".join(map(_field, row)) for row in rows]
    said = [struct.pack(">h", len(row)) + sent for row, sent in zip(rows, fields, strict=True)]
    said.append(b"\xff\xff")
    said[0] = HEADER + said[0]
    done = message(b"c") + message(b"C", b"COPY 1\0") + message(b"Z", b"T")
    return message(b"H", b"\x01\0\0") + b"".join(message(b"d", one) for one in said) + done


def _field(value: bytes | None) -> bytes:
    return struct.pack(">i", -1) if value is None else struct.pack(">i", len(value)) + value


def refusal(sqlstate: str, text: str) -> bytes:
    return message(b"E", f"SERROR\0C{sqlstate}\0M{text}\0\0".encode())


def sent(oid: int, value: Any) -> bytes | None:
    """A Python value in the binary form of the type with this oid."""
    if value is None:
        return None
    return _SEND[oid](value)


def _micros(value: datetime) -> int:
    since = value.replace(tzinfo=None) - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _days(value: date) -> int:
    return (value - EPOCH.date()).days


def numeric(value: Decimal | str) -> bytes:
    """numeric_send; a str is NaN or an infinity."""
    if isinstance(value, str):
        return struct.pack(">hhHH", 0, 0, {"NaN": 0xC000, "Infinity": 0xD000, "-Infinity": 0xF000}[value], 0)
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    scale = max(-exponent, 0)
    whole = int("".join(map(str, digits))) * 10 ** max(exponent, 0)
    padding = -scale % 4
    number = whole * 10**padding
    groups: list[int] = []
    while number:
        number, last = divmod(number, 10_000)
        groups.insert(0, last)
    weight = len(groups) - (scale + padding) // 4 - 1
    while groups and groups[-1] == 0:
        groups.pop()
    if not groups:
        sign = weight = 0
    return struct.pack(f">hhHH{len(groups)}H", len(groups), weight, 0x4000 * sign, scale, *groups)


_SEND: dict[int, Callable[[Any], bytes]] = {
    16: lambda value: b"\1" if value else b"\0",
    17: bytes,
    20: struct.Struct(">q").pack,
    21: struct.Struct(">h").pack,
    23: struct.Struct(">i").pack,
    25: str.encode,
    700: struct.Struct(">f").pack,
    701: struct.Struct(">d").pack,
    1082: lambda value: struct.pack(">i", _days(value)),
    1083: struct.Struct(">q").pack,
    1114: lambda value: struct.pack(">q", _micros(value)),
    1184: lambda value: struct.pack(">q", _micros(value)),
    1700: numeric,
    2950: lambda value: UUID(value).bytes,
    3802: lambda value: b"\1" + value.encode(),
}
