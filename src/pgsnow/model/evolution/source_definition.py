"""The definition of a source table as the ledger stores it, and which column of the target holds each source column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from pgsnow.model.table import Leaf, SourceTable


@dataclass(frozen=True, slots=True)
class ColumnDefinition:
    """A column of the source, or one that the transform adds (attnum None).

    snowflake: the type that its values need. base: its name in the target according to the configuration.
    target: the target's column that holds its values (None: not loaded). holds: that column's type.
    shadow: True if `target` is a shadow column, made because the base column cannot take the values.
    conversion: TypeMapping.conversion of the values that were loaded.
    """

    attnum: int | None
    name: str
    type_text: str = ""
    snowflake: str = ""
    target: str | None = None
    holds: str = ""
    base: str = ""
    shadow: bool = False
    not_null: bool = False
    labels: tuple[str, ...] = ()
    generation: str | None = None
    is_read: bool = True
    configured: str = ""
    """Its name in the configuration, where that still is one that the column had before it was renamed."""
    conversion: str = ""


@dataclass(frozen=True, slots=True)
class SourceDefinition:
    """A source table as it was when its checkpoint last moved.

    target: the target table's name. orphan_columns: (name, type) of the target's columns that no source column fills.
    config_fingerprint: (key, hash of its value) for each key of the table's configuration.
    """

    oid: int
    name: str
    relkind: str
    target: str
    key: tuple[str, ...]
    filenode: str = ""
    leaves: tuple[Leaf, ...] = ()
    columns: tuple[ColumnDefinition, ...] = ()
    orphan_columns: tuple[tuple[str, str], ...] = ()
    config_fingerprint: tuple[tuple[str, str], ...] = ()

    def column(self, name: str) -> ColumnDefinition | None:
        """The source column of this name, None if there is none."""
        return next((c for c in self.columns if c.name == name and c.attnum is not None), None)

    def present_name(self, name: str, source: SourceTable) -> str | None:
        """The current name of a column that was renamed since, or before and is still configured as `name`; None if it
        was not, or if the table is another one."""
        configured = (column for column in self.columns if column.configured == name)
        stored = next(configured, None) or self.column(name)
        if stored is None or source.oid != self.oid:
            return None
        return next((c.name for c in source.columns if c.attnum == stored.attnum and c.name != name), None)

    def with_target_columns(self, target: Mapping[str, str], reserved: frozenset[str]) -> SourceDefinition:
        """A copy with the actual column types of the target, and with its orphan columns.

        target: column name → type. reserved: names of pgsnow's metadata columns, which are never orphans.
        """
        columns = tuple(
            replace(c, holds=target[c.target]) if c.target is not None and c.target in target else c
            for c in self.columns
        )
        filled = {c.target for c in columns} | reserved
        orphans = {name: kind for name, kind in target.items() if name not in filled}
        return replace(self, columns=columns, orphan_columns=tuple(sorted(orphans.items())))

    def to_json(self) -> dict[str, Any]:
        """Plain data for the ledger. Column fields that have their default value are left out."""
        data = asdict(self)
        for field, key in _JSON_KEYS.items():
            data[key] = data.pop(field)
        data["columns"] = [
            {k: v for k, v in column.items() if v != _DEFAULTS.get(k, _NO_DEFAULT)}
            for column in data["columns"]
        ]
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SourceDefinition:
        return cls(
            oid=int(data["oid"]),
            name=data["name"],
            relkind=data["relkind"],
            target=data["into"],
            key=tuple(data["key"]),
            filenode=data.get("filenode", ""),
            leaves=tuple(Leaf(**leaf) for leaf in data.get("leaves", ())),
            columns=tuple(
                ColumnDefinition(**{**column, "labels": tuple(column.get("labels", ()))})
                for column in data.get("columns", ())
            ),
            orphan_columns=tuple((name, kind) for name, kind in data.get("left", ())),
            config_fingerprint=tuple((key, value) for key, value in data.get("settings", ())),
        )


_JSON_KEYS = {"target": "into", "orphan_columns": "left", "config_fingerprint": "settings"}
"""Fields that have another name in the ledger, which existing ledgers already use."""
_NO_DEFAULT = object()
_DEFAULTS = {k: v for k, v in asdict(ColumnDefinition(None, "")).items() if k not in ("attnum", "name")}
