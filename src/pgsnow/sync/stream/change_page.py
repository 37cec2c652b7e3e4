"""Changes of one table that were read from the log, ready to be written: at most one for each key."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from pgsnow.model.batch import Page
from pgsnow.model.sentences import counted


@dataclass(frozen=True, slots=True)
class ChangeCounts:
    """Changes by their kind, as they are in the log, before all but the last of each key were dropped."""

    inserts: int = 0
    updates: int = 0
    deletes: int = 0
    truncates: int = 0

    def __add__(self, other: ChangeCounts) -> ChangeCounts:
        return ChangeCounts(
            self.inserts + other.inserts,
            self.updates + other.updates,
            self.deletes + other.deletes,
            self.truncates + other.truncates,
        )

    def __str__(self) -> str:
        """`3 inserts, 1 delete`; empty: there are no changes."""
        found = (("insert", self.inserts), ("update", self.updates), ("delete", self.deletes))
        texts = [counted(count, kind) for kind, count in found if count]
        return ", ".join([*texts, *([counted(self.truncates, "TRUNCATE")] if self.truncates else [])])


@dataclass(frozen=True, slots=True)
class ChangePage:
    """The end state of all keys that some successive changes of a table touch. A key is in `page.rows`, or in
    `page.rejected`, or in `deleted`, never in two of them.

    page: rows that were inserted or updated, converted as those of any read. The columns of a row that did not change
    and are not in the log (TOAST) are NULL in it.
    commits: for each row the end of the commit record (LSN, int64) of its last change.
    unchanged: for each row (string) the columns that it does not have, by their positions among the plan's fields, such
    as `.2.5.`; NULL: it has all. None: all rows have all.
    moved: for each row that lacks columns and had another key before this page that key, else NULLs. Columns are named
    by the source and in the order of `plan.pk`, in the types of the plan's fields. None: there is no such row.
    deleted: keys of rows that do not exist any more, in the same form; deleted_commits: as `commits`.
    truncates: the table was truncated before all these changes; the page has none from before that.
    """

    page: Page
    commits: pa.Array
    unchanged: pa.Array | None
    moved: pa.RecordBatch | None
    deleted: pa.RecordBatch
    deleted_commits: pa.Array
    truncates: bool
    counts: ChangeCounts
