# ruff: noqa: S608  (composing SQL is what this module is for; every name in it goes through names.py)
"""Rows of part files as the source of a statement, without a staging table: text for FROM, and the guard. Pure.

A SELECT reads files through a *named* file format, and takes no list of files: a path in a stage is a prefix. Without
a matching file it has no rows and raises nothing. So the files are joined to one row that is always there, and the
guard, an expression of every row, makes the statement fail unless exactly the rows that were written are found.
Sources: Snowflake docs, "Query data in staged files", "CREATE FILE FORMAT", "MERGE".
docs/decisions/48-merged-straight-from-the-files.md
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pgsnow.model.metadata_columns import FENCE_COLUMN, HASH_COLUMN, ORDER_COLUMN
from pgsnow.model.table import TargetName
from pgsnow.model.types.mapping import Field
from pgsnow.snowflake.names import FILE_FORMAT, file_format_of, qualified, quote, schema_of, text
from pgsnow.snowflake.sql.statements import FILE_FORMAT_OPTIONS, WHOLE

TARGET_ROWS = quote("_PGSNOW_ROWS")
TARGET_FENCE = quote("_PGSNOW_NEWEST")
READ = f"COUNT(r.{quote(ORDER_COLUMN)}) OVER ()"
"""All rows that were read: a window is computed before QUALIFY drops rows."""
_LATER = re.compile(r"pgsnow found fence (\d+)")
_FOUND = re.compile(r"pgsnow read (\d+) rows, target (\d+)")


@dataclass(frozen=True, slots=True)
class ExpectedTarget:
    """The target as it was after the last load. rows: their number. fence: their highest fence, or a lower one, as
    another process may have loaded since; None: not known."""

    rows: int
    fence: int | None = None


def create_file_format(target: TargetName) -> str:
    """Fails if there is one, which may have other options."""
    return f"CREATE FILE FORMAT {file_format_of(target)} {FILE_FORMAT_OPTIONS}"


def replace_file_format(target: TargetName) -> str:
    return f"CREATE OR REPLACE FILE FORMAT {file_format_of(target)} {FILE_FORMAT_OPTIONS}"


def show_file_format(target: TargetName) -> str:
    """Its options; needs no warehouse. LIKE takes `_` for any letter: check the name."""
    return f"SHOW FILE FORMATS LIKE {text(FILE_FORMAT)} IN SCHEMA {schema_of(target)}"


def staged_source(
    target: TargetName,
    output: Sequence[Field],
    origins: Sequence[str] = (),
    *,
    bound: int = 0,
    counted: bool = False,
    hashed: bool = False,
    more: Sequence[tuple[str, str]] = (),
) -> str:
    """Text for FROM: the rows of part files as `r`, each column in the type that it would have in a staging table, and
    `n`, one row that is there even if no file is. Its guard is `guarded`, which the statement must use.

    origins: folders in a stage, as `Stage.origin` names them, each with its closing slash. bound: the rows are so many
    rows of bound values instead: one `?` for each value, row by row, the order last. counted: `n` has the number of
    rows in the target and their highest fence, which are metadata. hashed: the files have HASH_COLUMN. more: further
    columns of the files, with their types; before the order.
    """
    columns = [(f.target, f.type.staged) for f in output]
    columns += [(HASH_COLUMN, "VARCHAR")] if hashed else []
    columns += [*more, (ORDER_COLUMN, WHOLE)]
    if bound:
        row = f"({', '.join('?' for _ in columns)})"
        paths, places = (
            [f"column{at}" for at in range(1, len(columns) + 1)],
            [f"VALUES {', '.join([row] * bound)}"],
        )
    else:
        read_as = f"(FILE_FORMAT => {text(file_format_of(target))})"
        paths = [f"$1:{quote(name)}" for name, _ in columns]
        places = [f"{origin} {read_as}" for origin in origins]
    cast = zip(paths, columns, strict=True)
    values = ", ".join(f"{path}::{kind} AS {quote(name)}" for path, (name, kind) in cast)
    rows = " UNION ALL ".join(f"SELECT {values} FROM {place}" for place in places)
    newest = f"MAX({quote(FENCE_COLUMN)}) AS {TARGET_FENCE}"
    there = (
        f"COUNT(*) AS {TARGET_ROWS}, {newest} FROM {qualified(target)}" if counted else f"0 AS {TARGET_ROWS}"
    )
    return f"(SELECT {there}) AS n LEFT JOIN ({rows}) AS r ON TRUE"


def guarded(
    value: str,
    rows: int,
    target: ExpectedTarget | None = None,
    read: str = READ,
    not_after: int | None = None,
) -> str:
    """This value of each row of a `staged_source`, which can only be computed if so many rows were read, and if the
    target is as expected (None: it is not compared; else the source must be `counted`), and has no higher fence than
    not_after (None: that is not compared).

    Else the statement fails with error 100038 and changes nothing; `found_by_guard` or `later_fence` reads its message.
    The value must be one that every row of the statement needs, such as the fence. read: counts the
    rows that were read.
    """
    right = f"{read} = {rows}"
    if target is not None:
        right += f" AND n.{TARGET_ROWS} = {target.rows}"
        right += f" AND n.{TARGET_FENCE} >= {target.fence}" if target.fence is not None else ""
    found = f"'pgsnow read ' || {read} || ' rows, target ' || n.{TARGET_ROWS}"
    whole = f"IFF({right}, {value}, TO_NUMBER({found}))"
    if target is None or not_after is None:
        return whole
    newest = f"n.{TARGET_FENCE}"
    return f"IFF({newest} > {not_after}, TO_NUMBER('pgsnow found fence ' || {newest}), {whole})"


def found_by_guard(message: str) -> tuple[int, int] | None:
    """(rows read, rows of the target) in the error of a guard; None: it is another error."""
    found = _FOUND.search(message)
    return (int(found[1]), int(found[2])) if found else None


def unless_later(target: TargetName, fence: int, value: str) -> str:
    """This value of each row, which can only be computed if no run with a higher fence than this has written to the
    target. Else the statement fails with error 100038; `later_fence` reads its message. The largest value of a column
    is metadata."""
    newest = f"(SELECT MAX(t.{quote(FENCE_COLUMN)}) FROM {qualified(target)} AS t)"
    return f"IFF({newest} > {fence}, TO_NUMBER('pgsnow found fence ' || {newest}), {value})"


def later_fence(message: str) -> int | None:
    """The fence of the later run in the error of `unless_later`; None: it is another error."""
    found = _LATER.search(message)
    return int(found[1]) if found else None
