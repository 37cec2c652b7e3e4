"""Literal bounds of a batch's keys, as a condition for the ON of a MERGE. Pure.

Snowflake keeps the smallest and the largest value of each column of a micro-partition, and leaves out partitions that
no literal of a condition can match: a MERGE of recent rows then does not read the whole target (Snowflake docs,
"Micro-partitions & Data Clustering"). The condition must hold for every row of the batch; else known keys would count
as new ones. docs/decisions/52-literal-bounds-of-a-batch.md
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

from pgsnow.model.batch import KeyBounds
from pgsnow.snowflake.names import quote, text

FIRST_YEAR = 1583
"""Older dates may be shifted by a change of calendar, depending on the way by which they were loaded."""
ORDERED_SHARE = 1 << 12
"""A batch of ordered ids (UUID version 7, ULID: milliseconds, then random bits) spans two years at most in this part of
their space. Two random ones are this near once in two thousand times, more of them never."""
_EPOCH = datetime(1970, 1, 1)
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\Z")
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}\Z")
_BASE_32 = str.maketrans("ABCDEFGHJKMNPQRSTVWXYZ", "ABCDEFGHIJKLMNOPQRSTUV")
"""The digits of a ULID (Crockford's, without I, L, O and U) → those of `int(…, 32)`."""


def within(bounds: KeyBounds, kinds: Mapping[str, str]) -> str:
    """The condition on the target's rows `t`; "" if it would leave out nothing, or is not certain to be exact. kinds:
    column of the key → its type in Snowflake."""
    if bounds.column not in kinds or not _prunes(bounds.low, bounds.high):
        return ""
    low, high = (_literal(value, kinds[bounds.column]) for value in (bounds.low, bounds.high))
    return "" if low is None or high is None else f"t.{quote(bounds.column)} BETWEEN {low} AND {high}"


def _prunes(low: int | str, high: int | str) -> bool:
    """True for numbers and times, and for ids whose batch spans a small part of all of them: they are ordered."""
    if isinstance(low, int) or isinstance(high, int):
        return True
    first, last = _number_of(low), _number_of(high)
    return first is not None and last is not None and (last - first) * ORDERED_SHARE < 1 << 128


def _number_of(value: str) -> int | None:
    """The 128 bits of a UUID or ULID; None for other texts."""
    if _UUID.match(value):
        return int(value.replace("-", ""), 16)
    return int(value.translate(_BASE_32), 32) if _ULID.match(value) else None


def _literal(value: int | str, kind: str) -> str | None:
    """A bound as SQL; None if it has no exact literal. kind: the column's type."""
    if isinstance(value, str):
        return text(value)
    if kind.startswith("NUMBER"):
        return str(value)
    try:
        moment = _EPOCH + (timedelta(days=value) if kind == "DATE" else timedelta(microseconds=value))
    except OverflowError:
        return None
    if moment.year < FIRST_YEAR:
        return None
    written: date = moment.date() if kind == "DATE" else moment
    if kind.startswith("TIMESTAMP_TZ"):
        written = moment.replace(tzinfo=UTC)
    return f"{text(written.isoformat())}::{kind}"
