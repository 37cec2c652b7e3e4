"""Changes of one table that were read from the log, ready to be written: at most one for each key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from pgsnow.model.batch import Page
from pgsnow.model.types.mapping import Field


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
    last_commit: the end of the last commit record among all changes.
    """

    page: Page
    commits: pa.Array
    unchanged: pa.Array | None
    moved: pa.RecordBatch | None
    deleted: pa.RecordBatch
    deleted_commits: pa.Array
    truncates: bool
    counts: ChangeCounts
    last_commit: int


def unchanged_among(unchanged: pa.Array, fields: Sequence[Field], columns: Sequence[Field]) -> pa.Array:
    """`ChangePage.unchanged` by the positions of the columns of a file instead of those of the plan's fields. A column
    that the file does not have is left out, and a row for which none is left gets NULL."""
    at = {field.source: position for position, field in enumerate(columns)}
    encoded = unchanged.dictionary_encode()
    found = [_renumbered(text, fields, at) for text in encoded.dictionary.to_pylist()]
    return pa.array(found, pa.string()).take(encoded.indices)


def _renumbered(text: str, fields: Sequence[Field], at: dict[str, int]) -> str | None:
    names = (fields[int(position)].source for position in text.strip(".").split("."))
    kept = sorted(at[name] for name in names if name in at)
    return f".{'.'.join(map(str, kept))}." if kept else None
