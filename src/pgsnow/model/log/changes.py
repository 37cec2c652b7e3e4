"""Kinds of changes in the files of a load batch that was read from the log, and the columns that hold them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

OPERATION_COLUMN = "_PGSNOW_OPERATION"
"""In files: 'U' for a row that is inserted or updated, 'D' for one that is deleted, of which the file only has the key.
"""
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
    moved: some of those rows had another key before. truncates: the table was truncated before the first of its
    changes. A file has the columns of a kind only if the batch has that kind (OPERATION_COLUMN with `deletes`), and
    COMMIT_COLUMN always."""

    deletes: bool = False
    unchanged: bool = False
    moved: bool = False
    truncates: bool = False

    def to_json(self) -> list[str]:
        """The names of the kinds that are there."""
        return [name for name in ("deletes", "unchanged", "moved", "truncates") if getattr(self, name)]

    @classmethod
    def from_json(cls, data: list[str]) -> ChangeKinds:
        known: Mapping[str, Any] = dict.fromkeys(data, True)
        return cls(**known)
