"""Changes of a target's columns. Each action is idempotent: it may run twice, or finish what an earlier run began."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AddColumn:
    """Adds a column; does nothing if it exists."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class RenameColumn:
    """Renames a column; does nothing if only the new name exists. If neither exists, the column is added."""

    old: str
    new: str
    kind: str


@dataclass(frozen=True, slots=True)
class WidenColumn:
    """Alters a column in place to a type that holds all values of the old one; does nothing if it already does."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class DropColumn:
    """Drops a column; does nothing if it is gone."""

    name: str


TargetAction = AddColumn | RenameColumn | WidenColumn | DropColumn
