# ruff: noqa: S608  (composing SQL is what this module is for; every name in it goes through names.py)
"""Statements of a live view: a view that shows the newest of a target's rows and of staged rows. Pure.

Sources: Snowflake docs, "CREATE VIEW", "Query data in staged files", "Query metadata for staged files".
docs/decisions/53-a-view-of-what-waits.md
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pgsnow.model.metadata_columns import FENCE, FENCE_COLUMN, ORDER_COLUMN, MetadataColumn
from pgsnow.model.table import TargetName
from pgsnow.model.types.mapping import Field
from pgsnow.snowflake.names import file_format_of, qualified, quote, text
from pgsnow.snowflake.sql.statements import WHOLE, staged_values

SUFFIX = "_LIVE"
MARK = "Live view by pgsnow"
"""The beginning of the comment by which a view is known to be pgsnow's own."""
FILE_FENCE = "TRY_TO_NUMBER(SPLIT_PART(SPLIT_PART(METADATA$FILENAME, '/', -2), '-', 1), 38, 0)"
"""The fence of a row in a file, whose path ends in `<fence>-<number>/<file>`; NULL for any other file."""


def live_view_name(target: TargetName) -> TargetName:
    return target.sibling(target.table + SUFFIX)


@dataclass(frozen=True, slots=True)
class LiveView:
    """output, key: of the target. own: pgsnow's columns that the target has. folder: of all batches of the table in the
    stage, with its closing slash. loaded_until: the highest fence of which no file may be shown: the target has all
    rows up to it."""

    target: TargetName
    output: Sequence[Field]
    key: Sequence[Field]
    own: Sequence[MetadataColumn]
    folder: str
    loaded_until: int

    def differs_by_fence(self, other: LiveView) -> bool:
        """True if this view is equal to another one in all but `loaded_until`."""
        return replace(self, loaded_until=other.loaded_until) == other

    def create(self, *, replaces: bool) -> str:
        """replaces: the view that is there, whose grants stay; else the statement fails if anything has its name."""
        head, grants = ("CREATE OR REPLACE VIEW", " COPY GRANTS") if replaces else ("CREATE VIEW", "")
        comment = f"{MARK}: the rows of {self.target.table}, and staged ones that are not loaded yet"
        return (
            f"{head} {qualified(live_view_name(self.target))}{grants} COMMENT = {text(comment)}"
            f" AS {self.query}"
        )

    @property
    def query(self) -> str:
        """A staged row is shown unless the target has one of its key with at least its fence; a row of the target
        unless a staged one is shown. Conditions on columns reach both tables, as no window spans them."""
        names = [*(field.target for field in self.output), *(column.name for column in self.own)]
        same = " AND ".join(f"t.{quote(field.target)} = s.{quote(field.target)}" for field in self.key)
        old, new = f"t.{quote(FENCE_COLUMN)}", f"s.{quote(FENCE_COLUMN)}"
        table, shown = qualified(self.target), {alias: _columns(alias, names) for alias in "ts"}
        return (
            f"WITH s AS ({self._staged}) "
            f"SELECT {shown['t']} FROM {table} AS t"
            f" WHERE NOT EXISTS (SELECT 1 FROM s WHERE {same} AND ({old} IS NULL OR {old} < {new})) "
            f"UNION ALL SELECT {shown['s']} FROM s"
            f" WHERE NOT EXISTS (SELECT 1 FROM {table} AS t WHERE {same} AND {old} >= {new})"
        )

    @property
    def _staged(self) -> str:
        """One row per key: the one that was staged last."""
        read = [(field.target, f"$1:{quote(field.target)}::{field.type.staged}") for field in self.output]
        read += [(ORDER_COLUMN, f"$1:{quote(ORDER_COLUMN)}::{WHOLE}"), (FENCE_COLUMN, FILE_FENCE)]
        rows = ", ".join(f"{value} AS {quote(name)}" for name, value in read)
        fence = f"r.{quote(FENCE_COLUMN)}"
        added = [(column.name, fence if column == FENCE else f"NULL::{column.kind}") for column in self.own]
        values = ", ".join(
            f"{value} AS {quote(name)}" for name, value in [*staged_values(self.output), *added]
        )
        keys = ", ".join(f"r.{quote(field.target)}" for field in self.key)
        newest = f"ORDER BY {fence} DESC, r.{quote(ORDER_COLUMN)} DESC"
        return (
            f"SELECT {values} FROM (SELECT {rows} FROM {self.folder}"
            f" (FILE_FORMAT => {text(file_format_of(self.target))})) AS r"
            f" WHERE {fence} > {self.loaded_until}"
            f" QUALIFY ROW_NUMBER() OVER (PARTITION BY {keys} {newest}) = 1"
        )


def drop(view: TargetName) -> str:
    return f"DROP VIEW IF EXISTS {qualified(view)}"


def _columns(alias: str, names: Sequence[str]) -> str:
    return ", ".join(f"{alias}.{quote(name)} AS {quote(name)}" for name in names)
