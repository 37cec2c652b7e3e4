"""The key of a configured table: what `pk` names, or, where it is left out, what the table itself has."""

from __future__ import annotations

from pgsnow.model.config.table_config import WHOLE_MODES, TableConfig
from pgsnow.model.errors import ColumnMissing, KeyUnusable
from pgsnow.model.key_choice import choose_key, has_children
from pgsnow.model.table import SourceTable
from pgsnow.model.types.overflow import NEVER_OF_KEYS

UNPROVEN = frozenset({"v", "m", "f"})
"""Kinds of relation in which no index need prove that a key is one: a person's word is taken for it."""


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
