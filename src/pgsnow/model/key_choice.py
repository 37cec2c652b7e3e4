"""Which columns identify a row? The primary key, else the smallest unique key that is never NULL."""

from __future__ import annotations

from collections.abc import Sequence

from pgsnow.model.table import Column, SourceTable
from pgsnow.model.types.typemap import mapping_of

_SMALLEST_FIRST = ("int2", "int4", "int8", "uuid", "date", "timestamptz", "timestamp", "varchar", "text")
NO_KEY_TYPES = frozenset({"VARIANT", "FLOAT"})
"""Snowflake types by which rows are not found again: JSON has no equality that Postgres shares, floats no exact one."""
_LOSSY = frozenset({"geometry", "geography"})
"""Postgres types of which several values may arrive as one: a MERGE by them would make one row of several."""


def choose_key(table: SourceTable, spoiled: frozenset[str] = frozenset()) -> tuple[str, ...] | None:
    """Column names, or None if no unique index will do. spoiled: columns whose values are not loaded as they are."""
    if has_children(table):
        return None
    usable = [
        key for key in table.unique_keys if not key_problem(table, key) and not spoiled.intersection(key)
    ]
    if not usable:
        return None
    if table.has_primary_key and table.unique_keys[0] in usable:
        return table.unique_keys[0]
    return min(usable, key=lambda key: _size(table, key))


def has_children(table: SourceTable) -> bool:
    """True if other tables inherit from it (partitions apart): its keys do not hold for their rows, which it shows
    with its own. PostgreSQL docs, "Inheritance", Caveats."""
    return table.relkind == "r" and bool(table.leaves)


def key_problem(table: SourceTable, key: Sequence[str]) -> str:
    """Why this unique key does not identify rows in Snowflake; '' if it does."""
    columns = _columns(table, key)
    if nullable := [column.name for column in columns if not column.not_null]:
        return f"{', '.join(nullable)} may be NULL"
    if unfit := [column.name for column in columns if mapping_of(column).snowflake in NO_KEY_TYPES]:
        return f"{', '.join(unfit)} has a type that Snowflake does not compare exactly"
    if lossy := [column.name for column in columns if column.type_name in _LOSSY]:
        return f"{', '.join(lossy)} has a type of which several values arrive as one"
    return ""


def _columns(table: SourceTable, key: Sequence[str]) -> list[Column]:
    found = (table.column(name) for name in key)
    return [column for column in found if column is not None]


def _size(table: SourceTable, key: Sequence[str]) -> tuple[int, int, tuple[str, ...]]:
    ranks = [
        _SMALLEST_FIRST.index(column.type_name)
        if column.type_name in _SMALLEST_FIRST
        else len(_SMALLEST_FIRST)
        for column in _columns(table, key)
    ]
    return len(key), sum(ranks), tuple(key)
