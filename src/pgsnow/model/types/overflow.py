"""Handling of a value that Snowflake's type cannot hold."""

from __future__ import annotations

from enum import StrEnum


class Overflow(StrEnum):
    """reject: the row is rejected. null: NULL is loaded. text: the whole column becomes VARCHAR, which holds the value.
    clamp: the nearest value that fits is loaded; if there is none, the row is rejected."""

    REJECT = "reject"
    NULL = "null"
    TEXT = "text"
    CLAMP = "clamp"

    @property
    def recorded(self) -> str:
        """The name in hashes that the ledger stores: for `reject` the older one, so that existing hashes stay valid."""
        return QUARANTINE if self is Overflow.REJECT else self.value


QUARANTINE = "quarantine"
"""The older name of `reject`, which the configuration accepts as well."""
NEVER_OF_KEYS = frozenset({Overflow.NULL, Overflow.CLAMP})
"""Choices that a key column cannot have: a NULL identifies no row, and two clamped values could be equal."""


def beginning(value: str | bytes, limit: int) -> str | bytes:
    """The longest prefix of at most `limit` bytes, in whole characters."""
    if isinstance(value, bytes):
        return value[:limit]
    return value.encode()[:limit].decode(errors="ignore")
