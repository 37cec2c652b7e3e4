"""Changes that were read from the log, applied to a table in memory as the MERGE of snowflake/sql/changes.py does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pgsnow.model.batch import LoadResult
from pgsnow.model.config.options import Deletes
from pgsnow.model.log.changes import DOUBTFUL, MOVED_PREFIX, OPERATION_COLUMN, UNCHANGED_COLUMN, ChangeKinds
from pgsnow.model.metadata_columns import DELETED_AT_COLUMN, FENCE_COLUMN
from pgsnow.snowflake.sql.soft_deletes import Gone
from pgsnow.testing.memory_target import MemoryTarget
from pgsnow.testing.warehouse import MemoryTable, Row, last_of_each

Key = tuple[Any, ...]


@dataclass(slots=True)
class MemoryChanges:
    """One load of changes. names: the table's columns. key: those of its key. follows: as in ChangeLoad."""

    target: MemoryTarget
    names: Sequence[str]
    key: Sequence[str]
    fence: int
    kinds: ChangeKinds
    follows: bool

    def apply(self, rows: Sequence[Row]) -> LoadResult:
        """Apply the rows of files. Keys of rows that are not whole are noted in the claimed table. Idempotent."""
        target, table = self.target, self.target.warehouse.table(self.target.plan.target)
        deletes = target.plan.deletes(target.claimed.claim.created_target).deletes
        counts = Counter({"deleted": self._truncate(deletes)})
        before = {self._key_of(row): dict(row) for row in table.rows}
        latest = last_of_each(rows, self.key)
        again = any(
            self._former(row) and self._fence(before.get(self._key_of(row))) >= self.fence for row in latest
        )
        noted = target.claimed.incomplete
        for row in latest:
            counts[self._apply_row(table, before, row, deletes, again=again)] += 1
            there = any(self._key_of(other) == self._key_of(row) for other in table.rows)
            unchanged, key = row.get(UNCHANGED_COLUMN) or "", tuple(map(str, self._key_of(row)))
            doubtful = unchanged.endswith(DOUBTFUL) or bool(again and self._former(row))
            if unchanged and (doubtful or not there) and key not in noted:
                noted.append(key)
        return replace(target.result(counts["inserted"], counts["updated"]), deleted=counts["deleted"])

    def _apply_row(
        self, table: MemoryTable, before: Mapping[Key, Row], row: Row, deletes: Deletes, *, again: bool
    ) -> str:
        """The name of the count to which the row adds; "": to none."""
        key = self._key_of(row)
        old = next((other for other in table.rows if self._key_of(other) == key), None)
        if old is not None and self._fence(old) > self.fence:
            return ""
        if row.get(OPERATION_COLUMN) == "D":
            return self._delete(table, old, deletes)
        former = None if again else before.get(self._former(row))
        kept, unchanged = former or before.get(key), row.get(UNCHANGED_COLUMN) or ""
        if unchanged and kept is None:
            return ""
        values = {
            name: kept[name] if kept is not None and f".{at}." in unchanged else row[name]
            for at, name in enumerate(self.names)
        }
        table.merge([self.target.written(values, self.names, self.fence)], self.key, self.fence)
        return "inserted" if old is None else "updated"

    def _delete(self, table: MemoryTable, old: Row | None, deletes: Deletes) -> str:
        if old is None or deletes is Deletes.OFF:
            return ""
        if deletes is Deletes.HARD:
            table.delete(lambda row: row is old)
            return "deleted"
        if old[DELETED_AT_COLUMN] is not None:
            return ""
        old.update(self.target.mark(self.fence))
        return "updated"

    def _truncate(self, deletes: Deletes) -> int:
        """Remove or mark the rows from before; how many were removed."""
        if not self.kinds.truncates or deletes is Deletes.OFF:
            return 0
        limit = self.fence if self.follows else self.fence - 1
        gone = Gone.MARKED if deletes is Deletes.SOFT else Gone.DELETED
        removed = self.target.remove(lambda row: self._fence(row) <= limit, self.fence, gone)
        return removed if gone is Gone.DELETED else 0

    def _key_of(self, row: Row) -> Key:
        return tuple(row[name] for name in self.key)

    def _former(self, row: Row) -> Key:
        """The key that the row had before; empty if it had this one."""
        former = tuple(row.get(MOVED_PREFIX + name) for name in self.key)
        return () if None in former else former

    def _fence(self, row: Row | None) -> int:
        return (row and row[FENCE_COLUMN]) or 0
