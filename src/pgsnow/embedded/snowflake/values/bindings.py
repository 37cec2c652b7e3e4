"""Repair of the values that a client binds to `?`."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import fakesnow.server

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WHOLE = re.compile(r"[-+]?\d+\Z")


def bind_exactly() -> None:
    """Stock: NULL in an array bind and a decimal in a NUMBER bind fail, and times are converted through a float."""
    fakesnow.server.from_binding = _exact(fakesnow.server.from_binding)


def _exact(stock: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    def from_binding(binding: dict[str, Any]) -> Any:
        value = binding.get("value")
        if value is None:
            return None
        read = READERS.get(binding["type"])
        return stock(binding) if read is None else read(str(value))

    return from_binding


def number(text: str) -> int | Decimal:
    return int(text) if WHOLE.match(text) else Decimal(text)


def _instant(nanoseconds: str) -> datetime:
    return EPOCH + timedelta(microseconds=int(nanoseconds) // 1_000)


def day(milliseconds: str) -> date:
    return (EPOCH + timedelta(milliseconds=int(milliseconds))).date()


def time_of_day(nanoseconds: str) -> time:
    return _instant(nanoseconds).time()


def without_zone(nanoseconds: str) -> datetime:
    return _instant(nanoseconds).replace(tzinfo=None)


def with_offset(text: str) -> datetime:
    """`<nanoseconds since 1970 UTC> <offset in minutes + 1440>`."""
    nanoseconds, _, offset = text.partition(" ")
    at = _instant(nanoseconds)
    return at.astimezone(timezone(timedelta(minutes=int(offset) - 1440))) if offset else at


READERS: dict[str, Callable[[str], Any]] = {
    "FIXED": number,
    "DATE": day,
    "TIME": time_of_day,
    "TIMESTAMP_NTZ": without_zone,
    "TIMESTAMP_LTZ": _instant,
    "TIMESTAMP_TZ": with_offset,
}
