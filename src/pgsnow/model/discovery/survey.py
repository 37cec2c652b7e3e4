"""A survey of one source table: its definition, statistics and privileges, from the catalog."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pgsnow.model.table import SourceName, SourceTable


class RowSecurity(StrEnum):
    """Row-level security of a table: off, on (except for its owner), or forced (also for its owner)."""

    OFF = "off"
    ON = "on"
    FORCED = "forced"


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """Statistics and defaults of one column; None means unknown.

    null_share: from 0 to 1. ascending: correlation of the values with the order of rows on disk, from -1 to 1
    (pg_stats.correlation), or after a scan the share of rows whose value is not below the previous one's, from 0 to 1.
    distinct: number of distinct values. days: after a scan, the days between its smallest and its largest value.
    integer_digits, scale: after a scan, the most digits before and after the decimal point of a numeric column; None
    if it holds no number, or one that is not finite.
    """

    default_is_now: bool = False
    generated: bool = False
    set_on_update: bool = False
    """A BEFORE UPDATE trigger sets it to the clock (an integer: to a sequence's next value) at every update."""
    later: float | None = None
    """Share of rows in which it is at least a minute later than the time at which the row was inserted: of all rows
    after a scan, else estimated from the planner's statistics. None: no column of its type holds that time."""
    null_share: float | None = None
    ascending: float | None = None
    distinct: int | None = None
    days: float | None = None
    integer_digits: int | None = None
    scale: int | None = None


NOTHING_KNOWN = ColumnFacts()


@dataclass(frozen=True, slots=True)
class SurveyedTable:
    """A table, view or foreign table of the source.

    `source.estimated_rows` is -1 and `source.total_bytes` 0 if they are unknown; for a partitioned table both are sums
    over its partitions. inserts, updates, deletes: rows counted since the statistics were last reset. logical: the
    server writes its log for logical replication (wal_level).
    """

    source: SourceTable
    facts: Mapping[str, ColumnFacts] = field(default_factory=dict)
    may_use_schema: bool = True
    may_select: bool = True
    role: str = ""
    """The connected role, quoted."""
    row_security: RowSecurity = RowSecurity.OFF
    rows_hidden: bool = False
    """True if row-level security applies to the connected role."""
    partitions: int = 0
    foreign_partitions: int = 0
    children: int = 0
    """Number of child tables, without partitions."""
    partitions_key: tuple[str, ...] = ()
    """The primary key that each of its partitions has; empty if they differ or have none."""
    partitioned_by: tuple[str, ...] = ()
    inserts: int = 0
    updates: int = 0
    deletes: int = 0
    logical: bool = False
    profiled: bool = False
    misnamed: tuple[str, str] | None = None
    """Why the table cannot be named in a configuration, and the statement that helps."""
    transactions: int | None = None
    """After a scan, the number of transactions that wrote its rows."""
    obstacle: tuple[str, str] | None = None
    """Why a query of the relation fails, although the role may read it as such, and how to fix that."""

    @property
    def has_primary_key(self) -> bool:
        return self.source.has_primary_key

    @property
    def name(self) -> SourceName:
        return self.source.name

    @property
    def quoted(self) -> str:
        """The table's name in SQL: `"schema"."table"`."""
        return ".".join('"' + part.replace('"', '""') + '"' for part in (self.name.schema, self.name.table))

    def facts_of(self, column: str) -> ColumnFacts:
        """The facts of a column."""
        return self.facts.get(column, NOTHING_KNOWN)
