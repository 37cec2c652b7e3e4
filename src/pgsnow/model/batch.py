"""Rows on their way: pages read from Postgres, the rows that were refused, the part files of a load unit."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Rejected:
    """One row that could not go on. `key` maps each pk column to its value as text (None where NULL)."""

    key: dict[str, str | None]
    reason: str
    column: str | None = None
    payload: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Rows in the read's column order (names of the source, types of the type map): at most `batch_size` where a
    function is given them, else a batch as it came."""

    rows: pa.RecordBatch
    rejected: tuple[Rejected, ...] = ()
    changed: tuple[tuple[str, int], ...] = ()
    """(column, cells that were changed so that the target holds them)."""


@dataclass(frozen=True, slots=True)
class PartFile:
    """One finished Parquet file."""

    path: Path
    rows: int
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class LoadBatch:
    """What one COPY + MERGE applies: all part files of one unique batch."""

    batch: str
    """Unique for ever: `<table slug>/<fence>-<unit number>`; names the stage path and the staging table."""
    fence: int
    parts: tuple[PartFile, ...]
    first_row: int = 0
    """How many rows the run's units before this one have: what ORDER_COLUMN begins with."""

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts)


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What Snowflake said of one load unit."""

    inserted: int = 0
    updated: int = 0
    query_ids: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    """By phase: put, copy (or insert), merge."""
