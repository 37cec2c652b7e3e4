"""The rows in which a target differs from its source, all of them, streamed: what `verify` reports and `repair` fixes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pgsnow.model.key_range import ComparisonCounts, DifferenceKind, Key, KeyRange

if TYPE_CHECKING:
    from pgsnow.operations.verify.open_table import OpenTable

Row = tuple[Any, ...]
"""Canonical values (canonical.py)."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A column of the target in which a row differs, with the canonical values of both sides."""

    column: str
    source: Any
    target: Any


@dataclass(frozen=True, slots=True)
class RowDifference:
    """One key in which the sides differ. key: its canonical text, '' for a table without a key. values: canonical values
    of the key's columns (without a key: of the whole row). rows: how many rows are missing, ghosts or too many.
    cells: where a changed row differs (empty with keys alone). rejected: why the source's row was rejected; the
    target then holds an older version of it."""

    kind: DifferenceKind
    key: Key
    values: Row
    rows: int = 1
    cells: tuple[Cell, ...] = ()
    rejected: str | None = None


@dataclass(slots=True)
class Differences:
    """The differences of one table, found while they are iterated over, once; the counts are complete afterwards.
    Memory is bounded whatever the table's size."""

    found: Iterator[RowDifference]
    counts: ComparisonCounts = field(default_factory=ComparisonCounts)
    in_flight: int = 0
    """Keys that differ only because their rows changed after the last read, or during the comparison. They are not
    among the differences."""
    snapshot: int = 0
    """xmin of the source's snapshot that was compared: it shows every transaction below."""

    def __iter__(self) -> Iterator[RowDifference]:
        return self.found


def differences_of(
    table: OpenTable, *, content: bool = True, ranges: Sequence[KeyRange] | None = None
) -> Differences:
    """Compare one table. content: whole rows, not their keys alone. ranges: only these (None: all; a table that has no
    comparable key is always compared as a whole). Writes nothing.

    Raises, also while iterating, SourceUnavailable, SourceQueryFailed, SchemaMoved, TargetUnavailable, TargetMissing,
    TargetQueryFailed."""
    raise NotImplementedError
