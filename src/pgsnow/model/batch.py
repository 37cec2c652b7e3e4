"""Rows between source and target: pages read from Postgres, rejected rows, the part files of a load batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

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


@dataclass(frozen=True, slots=True)
class PartFile:
    """One finished Parquet file."""

    path: Path
    rows: int
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class LoadBatch:
    """The part files that one COPY and one MERGE apply."""

    batch: str
    """Never used twice: `<table slug>/<fence>-<number>`. It names the path in the stage, and the staging table."""
    fence: int
    parts: tuple[PartFile, ...]
    first_row: int = 0
    """Number of rows in the run's earlier load batches: the first value of ORDER_COLUMN."""

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts)


@dataclass(frozen=True, slots=True)
class LoadResult:
    """Snowflake's counts for one load batch."""

    inserted: int = 0
    updated: int = 0
    query_ids: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    """Phase → seconds: put, copy (or insert), merge."""
