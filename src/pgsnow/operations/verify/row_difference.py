"""One difference between the rows of both sides."""

from __future__ import annotations

from dataclasses import dataclass

from pgsnow.model.key_range import DifferenceKind, Key
from pgsnow.operations.verify.open_table import Row


@dataclass(frozen=True, slots=True)
class Cell:
    """A column of the target in which a row differs, with the canonical values of both sides."""

    column: str
    source: object
    target: object


@dataclass(frozen=True, slots=True)
class RowDifference:
    """One key in which the sides differ. key: its canonical text; empty for a table without a key. values: canonical
    values of the key's columns (without a key: of the whole row). rows: how many rows are missing, ghosts or too many.
    cells: where a changed row differs (empty with keys alone). rejected: why the source's row was rejected; the
    target then holds an older version of it."""

    kind: DifferenceKind
    key: Key
    values: Row
    rows: int = 1
    cells: tuple[Cell, ...] = ()
    rejected: str | None = None
