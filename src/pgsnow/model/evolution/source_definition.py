"""What the ledger remembers of a source table's definition, and where in the target its columns are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from pgsnow.model.table import Leaf, SourceTable


@dataclass(frozen=True, slots=True)
class ColumnDefinition:
    """A column of the source, or one that the transform adds (attnum None).

    snowflake: the type that its values need, and base: the name that the configuration gives it in the target.
    target: the column that its values are in (None: they are not loaded), and holds: that column's type.
    shadow: True if that is not the base's column, because that could not take them.
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


@dataclass(frozen=True, slots=True)
class SourceDefinition:
    """A source table as it was when its checkpoint moved last.

    into: the target. left: columns of the target that no column of the source fills (any more), and their types.
    settings: a digest of each key of the table's configuration.
    """

    oid: int
    name: str
    relkind: str
    into: str
    key: tuple[str, ...]
    filenode: str = ""
    leaves: tuple[Leaf, ...] = ()
    columns: tuple[ColumnDefinition, ...] = ()
    left: tuple[tuple[str, str], ...] = ()
    settings: tuple[tuple[str, str], ...] = ()

    def column(self, name: str) -> ColumnDefinition | None:
        return next((c for c in self.columns if c.name == name and c.attnum is not None), None)

    def present_name(self, name: str, source: SourceTable) -> str | None:
        """What the column that had this name is called now, if it is another name and the same table."""
        known = self.column(name)
        if known is None or source.oid != self.oid:
            return None
        return next((c.name for c in source.columns if c.attnum == known.attnum and c.name != name), None)

    def seen(self, target: Mapping[str, str], own: frozenset[str]) -> SourceDefinition:
        """The same, with the types that the target's columns (name → type) really have, and all of them that nothing
        fills. own: columns that pgsnow itself keeps there."""
        columns = tuple(
            replace(c, holds=target[c.target]) if c.target is not None and c.target in target else c
            for c in self.columns
        )
        filled = {c.target for c in columns} | own
        left = {name: kind for name, kind in target.items() if name not in filled}
        return replace(self, columns=columns, left=tuple(sorted(left.items())))

    def to_json(self) -> dict[str, Any]:
        """Plain data. What a column has as most columns have it is left out."""
        data = asdict(self)
        data["columns"] = [
            {k: v for k, v in column.items() if v != _USUAL.get(k, _NOTHING)} for column in data["columns"]
        ]
        data["leaves"] = [asdict(leaf) for leaf in self.leaves]
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SourceDefinition:
        return cls(
            oid=int(data["oid"]),
            name=data["name"],
            relkind=data["relkind"],
            into=data["into"],
            key=tuple(data["key"]),
            filenode=data.get("filenode", ""),
            leaves=tuple(Leaf(**leaf) for leaf in data.get("leaves", ())),
            columns=tuple(
                ColumnDefinition(**{**column, "labels": tuple(column.get("labels", ()))})
                for column in data.get("columns", ())
            ),
            left=tuple((name, kind) for name, kind in data.get("left", ())),
            settings=tuple((key, digest) for key, digest in data.get("settings", ())),
        )


_NOTHING = object()
_USUAL = {k: v for k, v in asdict(ColumnDefinition(None, "")).items() if k not in ("attnum", "name")}
