"""What a target's columns need before rows can be loaded. Each action may be done twice, or be half done already."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AddColumn:
    """A column that is not there yet; nothing if it is."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class RenameColumn:
    """Nothing where only the new name is there: that has been done. With neither, the column is added."""

    old: str
    new: str
    kind: str


@dataclass(frozen=True, slots=True)
class WidenColumn:
    """Another type in place that holds all values of the old one; nothing where the column holds as much already."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class DropColumn:
    """Nothing if it is gone already."""

    name: str


TargetAction = AddColumn | RenameColumn | WidenColumn | DropColumn
