"""What the catalog and its statistics say of a table that nobody has described yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pgsnow.model.table import SourceName, SourceTable


class RowSecurity(StrEnum):
    """Row-level security of a table: off, on (its owner is free of it), or forced (nobody but a superuser is)."""

    OFF = "off"
    ON = "on"
    FORCED = "forced"


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """What is known of one column beyond its type. None: not known.

    null_share: 0 to 1. ascending: how well the rows' order on disk follows the values, -1 to 1 (pg_stats.correlation),
    or after a scan the share of rows that are not below the one before them, 0 to 1. distinct: number of values.
    """

    default_is_now: bool = False
    generated: bool = False
    set_on_update: bool = False
    """A BEFORE UPDATE trigger for every column assigns it."""
    null_share: float | None = None
    ascending: float | None = None
    distinct: int | None = None


NOTHING_KNOWN = ColumnFacts()


@dataclass(frozen=True, slots=True)
class SurveyedTable:
    """A table, view or foreign table of the source.

    `source.estimated_rows` is -1 and `source.total_bytes` 0 where nothing has counted them yet; both are those of all
    partitions of a partitioned table. inserts and updates: rows counted since the statistics were last reset.
    """

    source: SourceTable
    facts: Mapping[str, ColumnFacts] = field(default_factory=dict)
    may_use_schema: bool = True
    may_select: bool = True
    role: str = ""
    """The asking role, quoted."""
    row_security: RowSecurity = RowSecurity.OFF
    rows_hidden: bool = False
    """Row-level security applies to the asking role."""
    partitions: int = 0
    foreign_partitions: int = 0
    children: int = 0
    """Tables that inherit from it, partitions not counted."""
    inserts: int = 0
    updates: int = 0
    profiled: bool = False

    @property
    def has_primary_key(self) -> bool:
        return self.source.has_primary_key

    @property
    def name(self) -> SourceName:
        return self.source.name

    @property
    def quoted(self) -> str:
        """`"schema"."table"`, as Postgres takes it."""
        return ".".join('"' + part.replace('"', '""') + '"' for part in (self.name.schema, self.name.table))

    def of(self, column: str) -> ColumnFacts:
        """The column's facts."""
        return self.facts.get(column, NOTHING_KNOWN)
