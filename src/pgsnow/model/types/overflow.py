"""What becomes of a value that Snowflake's type cannot hold."""

from __future__ import annotations

from enum import StrEnum


class Overflow(StrEnum):
    """quarantine: its row is rejected. null: NULL is loaded. text: the whole column is VARCHAR, so that it fits.
    clamp: the nearest value that fits is loaded; where there is none the row is rejected."""

    QUARANTINE = "quarantine"
    NULL = "null"
    TEXT = "text"
    CLAMP = "clamp"


NEVER_OF_KEYS = frozenset({Overflow.NULL, Overflow.CLAMP})
"""A key without a value is none, and two clamped ones would be one."""


def beginning(value: str | bytes, limit: int) -> str | bytes:
    """As much of it as `limit` bytes hold, in whole characters."""
    if isinstance(value, bytes):
        return value[:limit]
    return value.encode()[:limit].decode(errors="ignore")
