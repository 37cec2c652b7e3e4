"""Rows between source and target: pages read from Postgres, rejected rows, the part files of a load batch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgsnow.model.log.changes import ChangeKinds, PageChanges

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class BadColumn:
    """A column whose value keeps its row from being loaded. admitted_by: the choices of `on_overflow` that accept the
    value; empty if none does."""

    name: str
    reason: str
    admitted_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rejected:
    """One row that cannot be loaded. `key` maps each pk column to its value as text (None where NULL).

    column: the names of all bad columns, joined by a comma; None if they are not known. columns: what is known of each
    of them; empty if something else than single values is wrong, too."""

    key: dict[str, str | None]
    reason: str
    column: str | None = None
    payload: dict[str, Any] | None = None
    columns: tuple[BadColumn, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """Rows in the order of the plan's fields, with the source's column names and the Arrow types of the type map. At
    most `batch_size` rows where a transform's function receives them, else a batch as it was read."""

    rows: pa.RecordBatch
    rejected: tuple[Rejected, ...] = ()
    changed: tuple[tuple[str, int], ...] = ()
    """(column, number of values that `on_overflow` changed so that the target can hold them)."""
    changes: PageChanges | None = None
    """The rows are changes that were read from the log, and this is the rest of them; None: they are rows as they are.
    """


@dataclass(frozen=True, slots=True)
class PartFile:
    """One finished Parquet file."""

    path: Path
    rows: int
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class KeyBounds:
    """The smallest and the largest value of a column of the key in some rows: whole numbers, days or microseconds since
    1970, or ASCII texts. column: its name in the target."""

    column: str
    low: int | str
    high: int | str

    def __or__(self, other: KeyBounds | None) -> KeyBounds | None:
        """The bounds of both; None if they are of different columns or types, or the other's are not known."""
        if other is None or (self.column, type(self.low)) != (other.column, type(other.low)):
            return None
        lows: list[Any] = [self.low, other.low]
        highs: list[Any] = [self.high, other.high]
        return KeyBounds(self.column, min(lows), max(highs))


def bounds_of_all(bounds: Iterable[KeyBounds | None]) -> KeyBounds | None:
    """The bounds of several batches; None if those of one are not known."""
    return reduce(lambda one, other: one and one | other, bounds)


@dataclass(frozen=True, slots=True)
class LoadBatch:
    """The part files that one COPY and one MERGE apply."""

    batch: str
    """Never used twice: `<table slug>/<fence>-<number>`. It names the path in the stage, and the staging table."""
    fence: int
    parts: tuple[PartFile, ...]
    first_row: int = 0
    """Number of rows in the run's earlier load batches: the first value of ORDER_COLUMN."""
    bounds: KeyBounds | None = None
    """The bounds of its rows' keys; None: not known."""
    changes: ChangeKinds | None = None
    """Its rows are changes that were read from the log (it may have none, if it truncates); None: they are rows of the
    source as they are."""

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts)


@dataclass(frozen=True, slots=True)
class LoadResult:
    """Snowflake's counts for one load batch. updated: with `deletes: soft`, rows that were marked as deleted, too."""

    inserted: int = 0
    updated: int = 0
    query_ids: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    """Phase → seconds: put, copy (or insert), merge."""
    deleted: int = 0
