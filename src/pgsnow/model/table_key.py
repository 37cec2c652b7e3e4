"""The key of a configured table: the columns that `pk` names, or a unique key that the table itself has."""

from __future__ import annotations

from collections.abc import Sequence

from pgsnow.model.config.options import Deletes
from pgsnow.model.config.table_config import WHOLE_MODES, TableConfig, TableMode
from pgsnow.model.errors import ColumnMissing, KeyUnusable
from pgsnow.model.table import KINDS, Column, SourceTable, shown_name
from pgsnow.model.types.key_forms import why_no_key
from pgsnow.model.types.overflow import NEVER_OF_KEYS
from pgsnow.model.types.type_rules import mapping_of

UNPROVEN = frozenset({"v", "m", "f"})
"""Kinds of relation that have no unique indexes: a configured key is trusted."""
_NO_INDEXES = "Name the columns that identify a row in `pk:`, or write `mode: full`."
_SMALLEST_FIRST = ("int2", "int4", "int8", "uuid", "date", "timestamptz", "timestamp", "varchar", "text")
NO_KEY_TYPES = frozenset({"VARIANT", "FLOAT"})
"""Snowflake types that cannot identify rows: JSON compares differently than in Postgres, floats not exactly."""
_REMEDY = "Name another unique key in `pk`, or write `mode: full` without `pk`."


def key_of(config: TableConfig, source: SourceTable) -> tuple[str, ...]:
    """The key's columns, in order; empty for a table that is read as a whole and has none.

    Raises ColumnMissing, and KeyUnusable if the mode needs a key and there is none that can be used.
    """
    if config.pk is not None:
        _check(config.pk, config, source)
        return config.pk
    found = choose_key(source, _altered(config))
    if found is None and config.mode not in WHOLE_MODES:
        advice = _NO_INDEXES if source.relkind in UNPROVEN else ""
        raise KeyUnusable(f"{source.name}: no pk is given, and {_why_none(source)}", advice=advice)
    if found is None and config.mode is TableMode.FULL and config.deletes is Deletes.SOFT:
        raise KeyUnusable(
            f"{source.name}: deletes: soft needs a key that tells which rows were deleted; {_why_none(source)}",
            advice="Name the columns that identify a row in `pk:`, or leave out `deletes: soft`.",
        )
    return found or ()


def _altered(config: TableConfig) -> frozenset[str]:
    """Columns that are not read, or whose values are changed. (Hashed columns still identify rows.)"""
    changed = {name for name, how in config.columns.on_overflow.items() if how in NEVER_OF_KEYS}
    transform = config.transform
    hidden = {*transform.set_null, *transform.mask} if transform else set()
    return frozenset({*config.columns.exclude, *changed, *hidden})


def _check(pk: tuple[str, ...], config: TableConfig, source: SourceTable) -> None:
    for name in pk:
        if source.column(name) is None:
            raise ColumnMissing(
                f"{source.name}: no column {shown_name(name)};"
                f" it has {', '.join(shown_name(c.name) for c in source.columns)}"
            )
    if config.mode is not TableMode.APPEND and (refused := _refused(_columns(source, pk))):
        raise KeyUnusable(f"{source.name}: pk: {refused}", advice=_REMEDY)
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
    """True if `where` mentions tableoid, which separates a parent's own rows from those of its child tables."""
    return "tableoid" in (config.where or "").lower()


def _why_none(source: SourceTable) -> str:
    if has_children(source):
        return _why_children(source)
    if source.relkind in UNPROVEN:
        return f"a {KINDS[source.relkind].lower()} has no primary key of its own"
    keys = " or ".join(f"[{', '.join(key)}]" for key in source.unique_keys) or "none"
    return f"the table has no primary key, nor another key that identifies rows in Snowflake; its unique keys: {keys}"


def _why_children(source: SourceTable) -> str:
    name = str(source.name).replace("'", "''")
    return (
        f"tables inherit from {source.name} ({', '.join(leaf.name for leaf in source.leaves)}), and its keys do not"
        f" hold for their rows: read its own rows by `where: \"tableoid = '{name}'::regclass\"`, or all of them by"
        " `mode: full`"
    )


def choose_key(table: SourceTable, altered: frozenset[str] = frozenset()) -> tuple[str, ...] | None:
    """The columns that identify a row: the primary key, else the smallest unique key that is never NULL. None if no
    unique index can be used. altered: columns whose values are not loaded unchanged."""
    if has_children(table):
        return None
    usable = [
        key for key in table.unique_keys if not key_problem(table, key) and not altered.intersection(key)
    ]
    if not usable:
        return None
    if table.has_primary_key and table.unique_keys[0] in usable:
        return table.unique_keys[0]
    return min(usable, key=lambda key: _size(table, key))


def has_children(table: SourceTable) -> bool:
    """True if the table has child tables (other than partitions). Its keys do not apply to their rows, which a query of
    the table returns with its own. PostgreSQL docs, "Inheritance", Caveats."""
    return table.relkind == "r" and bool(table.leaves)


def key_problem(table: SourceTable, key: Sequence[str]) -> str:
    """The reason why this unique key does not identify rows in Snowflake; '' if it does."""
    columns = _columns(table, key)
    if not table.may_read(*key):
        return f"role {table.role} may not read all of its columns"
    if nullable := [column.name for column in columns if not column.not_null]:
        return f"{', '.join(nullable)} may be NULL"
    if unfit := [column.name for column in columns if mapping_of(column).snowflake in NO_KEY_TYPES]:
        return f"{', '.join(unfit)} has a type that Snowflake does not compare exactly"
    return _refused(columns)


def _refused(columns: Sequence[Column]) -> str:
    """The reason why one of these columns cannot belong to any key; '' if each can."""
    return next(filter(None, map(why_no_key, columns)), "")


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
