"""Queries that read a target, for comparisons and tests."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from itertools import accumulate
from typing import Any

from pgsnow.model.table import TargetName
from pgsnow.model.types.mapping import Field
from pgsnow.snowflake.names import text
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.sql import statements as sql

Row = tuple[Any, ...]
_KEYS_AT_ONCE = 1_000
_TEXT_AT_ONCE = 500_000
"""Bytes of keys in one statement, whose text is limited (session.LONGEST_SQL)."""


def count_rows(session: Session, target: TargetName, where: str = "") -> int:
    """Rows in the target. Needs no warehouse on the real service, except with a condition. Raises TargetMissing."""
    return int(session.execute(sql.count(target, where)).rows[0][0])


def select_rows(
    session: Session,
    target: TargetName,
    fields: Sequence[Field],
    key: Sequence[Field],
    keys: Sequence[Row],
    where: str = "",
) -> list[Row]:
    """The rows with these keys, in no particular order, as the connector returns them (VARIANT: JSON text). At most
    a few thousand keys, in as few statements as the length of their text allows. where: a further condition. Raises
    TargetMissing."""
    constants = [
        [constant(value, f.type.snowflake) for value, f in zip(row, key, strict=True)] for row in keys
    ]
    found: list[Row] = []
    while constants:
        sizes = accumulate(len("".join(row).encode()) + 4 * len(row) for row in constants)
        count = max(1, sum(size <= _TEXT_AT_ONCE for size in sizes))
        wanted, constants = constants[:count], constants[count:]
        among = sql.key_is_one_of(key, wanted) + (f" AND {where}" if where else "")
        found += session.execute(sql.select(target, fields, among)).rows
    return found


def select_keys(
    session: Session, target: TargetName, key: Sequence[Field], keys: Sequence[Row], where: str = ""
) -> set[Row]:
    """Those of these keys of which the target has a row (where: such a row). Raises TargetMissing."""
    found: set[Row] = set()
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        rows = select_rows(session, target, key, key, keys[start : start + _KEYS_AT_ONCE], where)
        found.update(tuple(bytes(v) if isinstance(v, bytearray) else v for v in row) for row in rows)
    return found


def select_all(session: Session, target: TargetName, fields: Sequence[Field], where: str = "") -> list[Row]:
    """These fields of all rows (where: of those), in no particular order. Raises TargetMissing."""
    return session.execute(sql.select(target, fields, where)).rows


def select_columns(session: Session, target: TargetName, names: Sequence[str]) -> list[Row]:
    """These columns of all rows, in no particular order. Raises TargetMissing."""
    return session.execute(sql.select_named(target, names)).rows


def constant(value: Any, kind: str) -> str:
    """A value as SQL, of this Snowflake type."""
    for python, write in _CONSTANTS.items():
        if isinstance(value, python):
            return write(value, kind)
    return text(str(value))


def _float(value: float, _: str) -> str:
    return repr(value) if math.isfinite(value) else f"'{value}'::FLOAT"


def _dated(value: date | time, kind: str) -> str:
    return f"{text(value.isoformat())}::{kind}"


_CONSTANTS: dict[type, Callable[[Any, str], str]] = {
    bool: lambda value, _: "TRUE" if value else "FALSE",
    int: lambda value, _: str(value),
    Decimal: lambda value, _: format(value, "f"),
    float: _float,
    bytes: lambda value, _: f"X'{value.hex()}'",
    datetime: _dated,
    date: _dated,
    time: _dated,
}
"""In this order: bool is an int, and datetime a date."""
