"""Positions in the write-ahead log: bytes since its beginning, as `pg_lsn` counts them.

https://www.postgresql.org/docs/current/datatype-pg-lsn.html"""

from __future__ import annotations


def parse_lsn(text: str) -> int:
    """The position that Postgres writes as two hexadecimal numbers, `16/B374D848`. Raises ValueError."""
    high, _, low = text.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def format_lsn(lsn: int) -> str:
    """The position as Postgres writes it."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"
