"""The key of a configured table: what `pk` names, or, where it is left out, what the table itself has."""

from __future__ import annotations

from collections.abc import Sequence

from pgsnow.model.config.table_config import WHOLE_MODES, TableConfig
from pgsnow.model.errors import ColumnMissing, KeyUnusable
from pgsnow.model.table import Column, SourceTable
from pgsnow.model.types.overflow import NEVER_OF_KEYS
from pgsnow.model.types.type_rules import mapping_of

UNPROVEN = frozenset({"v", "m", "f"})
"""Kinds of relation in which no index need prove that a key is one: a person's word is taken for it."""
_SMALLEST_FIRST = ("int2", "int4", "int8", "uuid", "date", "timestamptz", "timestamp", "varchar", "text")
NO_KEY_TYPES = frozenset({"VARIANT", "FLOAT"})
"""Snowflake types by which rows are not found again: JSON has no equality that Postgres shares, floats no exact one."""
_LOSSY = frozenset({"geometry", "geography"})
"""Postgres types of which several values may arrive as one: a MERGE by them would make one row of several."""


def key_of(config: TableConfig, source: SourceTable) -> tuple[str, ...]:
    """The key's columns, in order; empty for a table that is read as a whole and has none.

    Raises ColumnMissing, and KeyUnusable where a key is needed and nothing stands for it.
    """
    if config.pk is not None:
        _check(config.pk, config, source)
        return config.pk
    found = choose_key(source, _spoiled(config))
    if found is None and config.mode not in WHOLE_MODES:
        raise KeyUnusable(f"{source.name}: no pk is given, and {_why_none(source)}")
    return found or ()


def _spoiled(config: TableConfig) -> frozenset[str]:
    """Columns that are not read, or not loaded as they are. (Hashed ones still tell rows apart.)"""
    changed = {name for name, how in config.columns.on_overflow.items() if how in NEVER_OF_KEYS}
    transform = config.transform
    hidden = {*transform.set_null, *transform.mask} if transform else set()
    return frozenset({*config.columns.exclude, *changed, *hidden})


def _check(pk: tuple[str, ...], config: TableConfig, source: SourceTable) -> None:
    for name in pk:
        if source.column(name) is None:
            raise ColumnMissing(
                f"{source.name}: no column {name}; it has {', '.join(c.name for c in source.columns)}"
            )
    if source.relkind in UNPROVEN:
        return
    if has_children(source) and config.mode not in WHOLE_MODES and not _own_rows_only(config):
        raise KeyUnusable(_why_children(source))
    if any(set(key) <= set(pk) for key in source.unique_keys):
        return
    known = " or ".join(f"[{', '.join(key)}]" for key in source.unique_keys) or "none"
    raise KeyUnusable(
        f"{source.name}: no unique index on pk [{', '.join(pk)}]; the table's unique keys: {known}"
    )


def _own_rows_only(config: TableConfig) -> bool:
    """A `where` that looks at tableoid is there to tell a parent's own rows from its children's."""
    return "tableoid" in (config.where or "").lower()


def _why_none(source: SourceTable) -> str:
    if has_children(source):
        return _why_children(source)
    keys = " or ".join(f"[{', '.join(key)}]" for key in source.unique_keys) or "none"
    return f"the table has no primary key, nor another that tells rows apart in Snowflake; its unique keys: {keys}"


def _why_children(source: SourceTable) -> str:
    name = str(source.name).replace("'", "''")
    return (
        f"tables inherit from {source.name} ({', '.join(leaf.name for leaf in source.leaves)}), and its keys do not"
        f" hold for their rows: read its own rows by `where: \"tableoid = '{name}'::regclass\"`, or all of them by"
        " `mode: full`"
    )


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
