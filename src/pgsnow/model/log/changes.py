"""Kinds of changes in the files of a load batch that was read from the log, and the columns that hold them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

OPERATION_COLUMN = "_PGSNOW_OPERATION"
"""In files: 'U' for a row that is inserted or updated, 'D' for one that is deleted, of which the file only has the key.
"""
DOUBTFUL = "!"
"""At the end of UNCHANGED_COLUMN: the target may have other values of these columns, so that the row must be read."""
UNCHANGED_COLUMN = "_PGSNOW_UNCHANGED"
"""In files: the columns that the row does not have because they did not change (TOAST): their positions among the
columns of the file, from 0, each between dots, such as `.2.5.`; NULL if it has all."""
COMMIT_COLUMN = "_PGSNOW_LSN"
"""In files: the end of the commit record of the transaction that made the change (int64)."""
MOVED_PREFIX = "_PGSNOW_FROM_"
"""In files: columns of the key with this prefix hold the key that the row had before this batch, if it has another one
now and columns that did not change; else NULL."""


@dataclass(frozen=True, slots=True)
class ChangeKinds:
    """deletes: rows are deleted. unchanged: rows have columns that did not change, whose values the target keeps.
    moved: some of those rows had another key before. doubtful: some must be read from the source after the load.
    truncates: the table was truncated before the first of its
    changes. The files have the columns of every kind; a statement reads those of the kinds that occur."""

    deletes: bool = False
    unchanged: bool = False
    moved: bool = False
    truncates: bool = False
    doubtful: bool = False

    def __or__(self, other: ChangeKinds) -> ChangeKinds:
        """The kinds of both."""
        return ChangeKinds.from_json([*self.to_json(), *other.to_json()])

    def to_json(self) -> list[str]:
        """The names of the kinds that are there."""
        return [
            name for name in ("deletes", "unchanged", "moved", "truncates", "doubtful") if getattr(self, name)
        ]

    @classmethod
    def from_json(cls, data: list[str]) -> ChangeKinds:
        known: Mapping[str, Any] = dict.fromkeys(data, True)
        return cls(**known)


@dataclass(frozen=True, slots=True)
class PageChanges:
    """The rest of a page of changes beside its rows. A key occurs once at most, deleted keys included.

    commits: of each row, the end of its transaction's commit record (int64). unchanged: of each row, the positions
    among the plan's fields of the columns that it does not have, each between dots, such as `.2.5.` (string); NULL if
    it has all; None: all rows have all. moved: of each row, the key that it had before this page, if that is another
    one and the row does not have all columns, else NULL (columns: the key's fields under their source names); None:
    none has. deleted: the keys that are deleted, in the same form; deleted_commits: as `commits`.

    truncates: the table was truncated before these changes. replayed: the target may have them already, as its rows
    were read in a later snapshot (`LogPosition.settled`). The row with a former key may be another one by now, so rows
    in `moved` are read from the source after the load.
    """

    commits: pa.Array
    unchanged: pa.Array | None = None
    moved: pa.RecordBatch | None = None
    deleted: pa.RecordBatch | None = None
    deleted_commits: pa.Array | None = None
    truncates: bool = False
    replayed: bool = False
    apart: bool = False
    """A row that does not have all columns had, perhaps, a change in an earlier page (with its key or its former key),
    so that a load batch must begin with this page."""

    @property
    def separate(self) -> bool:
        """True if a load batch must begin with this page."""
        return self.apart or self.truncates
