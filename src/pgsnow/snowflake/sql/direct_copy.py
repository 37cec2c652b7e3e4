# ruff: noqa: S608  (composing SQL is what this module is for; every name in it goes through names.py)
"""The statements of a load without a staging table, as text. Pure.

Sources: Snowflake docs, "Transform data during a load" (a COPY may select PARSE_JSON, casts, CONVERT_TIMEZONE and
constants, but has no WHERE or JOIN, and reads from a stage, not from a URL), "Query metadata for staged files"
(METADATA$START_SCAN_TIME), "INSERT" (OVERWRITE).
"""

from __future__ import annotations

from collections.abc import Sequence

from pgsnow.model.metadata_columns import DELETED_AT_COLUMN, FENCE_COLUMN, MetadataColumn
from pgsnow.model.table import TargetName
from pgsnow.model.types.mapping import KEEP_LAST, Field
from pgsnow.snowflake.names import qualified, quote
from pgsnow.snowflake.sql.soft_deletes import Gone, carried_over
from pgsnow.snowflake.sql.statements import COPY_OPTIONS, FILE_FORMAT, NOW, NOW_IN_COPY, Filled, declared


def copy_into_target(
    target: TargetName,
    output: Sequence[Field],
    filled: Sequence[Filled],
    origin: str,
) -> str:
    """filled: pgsnow's metadata columns in the target. origin: a stage and a path in it.

    FORCE: loaded rows are recognised by their fence; COPY's own load history ignores that rows were deleted.
    """
    values = [
        *parquet_values(output),
        *((name, NOW_IN_COPY if value == NOW else value) for name, value in filled),
    ]
    names = ", ".join(quote(name) for name, _ in values)
    return (
        f"COPY INTO {qualified(target)} ({names})"
        f" FROM (SELECT {', '.join(value for _, value in values)} FROM {origin})"
        f" FILE_FORMAT={FILE_FORMAT} {COPY_OPTIONS} FORCE=TRUE"
    )


def parquet_values(output: Sequence[Field]) -> list[Filled]:
    """Each loaded column, and the expression for its value in a row of a part file: first cast to the type that it
    would have in a staging table, then to the target's type.

    PARSE_JSON stands without its second argument, of which the docs of COPY say nothing. A file in which an object has
    one key twice is rejected then, and its batch is merged.
    """
    return [
        (f.target, f.type.merge.replace(KEEP_LAST, "").format(c=f"$1:{quote(f.target)}::{f.type.staged}"))
        for f in output
    ]


def count_of(target: TargetName, fence: int) -> str:
    """Count the rows that one attempt has loaded."""
    return f"SELECT COUNT(*) FROM {qualified(target)} WHERE {quote(FENCE_COLUMN)} = {fence}"


def any_row(target: TargetName, *, not_after: int | None, after: int | None = None) -> str:
    """Look for a row. not_after: only rows whose fence is not larger than this, or NULL; None: any row. after: rows
    with a larger fence than this, too."""
    mark = quote(FENCE_COLUMN)
    older = "" if not_after is None else f" WHERE {mark} IS NULL OR {mark} <= {not_after}"
    older += "" if not_after is None or after is None else f" OR {mark} > {after}"
    return f"SELECT 1 FROM {qualified(target)}{older} LIMIT 1"


def delete_attempts(target: TargetName, fences: Sequence[int]) -> str:
    """Delete the rows that these attempts have loaded."""
    listed = ", ".join(map(str, fences))
    return f"DELETE FROM {qualified(target)} WHERE {quote(FENCE_COLUMN)} IN ({listed})"


def any_twice(target: TargetName, key: Sequence[Field]) -> str:
    """Look for a key with more than one row."""
    names = ", ".join(quote(f.target) for f in key)
    return f"SELECT 1 FROM {qualified(target)} GROUP BY {names} HAVING COUNT(*) > 1 LIMIT 1"


def count_surplus(target: TargetName, identity: Sequence[str]) -> str:
    """Count the rows beyond the first of each identity. A row with a NULL in it has none, and is not counted.
    identity: the columns that identify a row."""
    names = [quote(name) for name in identity]
    known = " AND ".join(f"{name} IS NOT NULL" for name in names)
    count = quote("_PGSNOW_COUNT")
    return (
        f"SELECT COALESCE(SUM({count} - 1), 0) FROM (SELECT COUNT(*) AS {count} FROM {qualified(target)}"
        f" WHERE {known} GROUP BY {', '.join(names)} HAVING COUNT(*) > 1) AS d"
    )


def select_surplus(target: TargetName, fields: Sequence[Field], identity: Sequence[str]) -> str:
    """These fields of the rows that `count_surplus` counts."""
    names = [quote(name) for name in identity]
    listed = ", ".join(names)
    return (
        f"SELECT {', '.join(quote(f.target) for f in fields)} FROM {qualified(target)}"
        f" WHERE {' AND '.join(f'{name} IS NOT NULL' for name in names)}"
        f" QUALIFY ROW_NUMBER() OVER (PARTITION BY {listed} ORDER BY {listed}) > 1"
    )


def keep_one_of_each(target: TargetName, columns: Sequence[str], identity: Sequence[str]) -> str:
    """Keep one row of each identity, that of the newest run, and every row that has a NULL in it. columns: all
    writable columns. Snowflake sorts NULL (a row that pgsnow did not write) first in descending order. Of rows of one
    run, one that is not marked as deleted stays."""
    names = ", ".join(map(quote, columns))
    keys = [f"t.{quote(name)}" for name in identity]
    values = ", ".join(f"t.{quote(column)}" for column in columns)
    table, newest = qualified(target), f"ORDER BY t.{quote(FENCE_COLUMN)} DESC NULLS LAST"
    if DELETED_AT_COLUMN in columns:
        newest += f", t.{quote(DELETED_AT_COLUMN)} DESC NULLS FIRST"
    return (
        f"INSERT OVERWRITE INTO {table} ({names}) SELECT {values} FROM {table} AS t"
        f" QUALIFY ROW_NUMBER() OVER (PARTITION BY {', '.join(keys)} {newest}) = 1"
        f"{''.join(f' OR {key} IS NULL' for key in keys)}"
    )


def delete_overtaken(target: TargetName, key: Sequence[Field], since: int) -> str:
    """Delete rows for which another row with the same key has a higher fence, at or above `since`. Rows without a
    fence were not written by pgsnow, and stay.

    Snowflake docs, "DELETE" (USING a query).
    """
    names, mark, table = [quote(f.target) for f in key], quote(FENCE_COLUMN), qualified(target)
    newer = f"SELECT {', '.join(names)}, MAX({mark}) AS {mark} FROM {table} WHERE {mark} >= {since}"
    old, new = quote(target.table), quote("_PGSNOW_NEWER")
    same = " AND ".join(f"{old}.{name} = {new}.{name}" for name in names)
    return (
        f"DELETE FROM {table} USING ({newer} GROUP BY {', '.join(names)}) AS {new}"
        f" WHERE {same} AND {old}.{mark} < {new}.{mark}"
    )


def create_shadow(
    shadow: TargetName, output: Sequence[Field], own: Sequence[MetadataColumn], *, dropped: bool = False
) -> str:
    """Create a shadow table. It is transient, because the source has all its rows, but not temporary, because it
    may be needed for days, over many sessions. dropped: fail if it exists."""
    unless = "" if dropped else "IF NOT EXISTS "
    columns = [(f.target, f.type.snowflake) for f in output] + list(own)
    listed = ", ".join(f"{quote(name)} {declared(kind)}" for name, kind in columns)
    return f"CREATE TRANSIENT TABLE {unless}{qualified(shadow)} ({listed}) DATA_RETENTION_TIME_IN_DAYS=0"


def put_in_place(
    target: TargetName,
    shadow: TargetName,
    output: Sequence[Field],
    key: Sequence[Field],
    filled: Sequence[Filled],
    others: Sequence[str],
    fence: int,
    gone: Gone = Gone.DELETED,
) -> str:
    """Replace all rows of the target with those of its shadow table; of rows with one key, with that of the newest
    attempt.

    If a run with a higher fence has written to the target, its content stays as it is. filled, others and gone: as in
    replace.overwrite.
    """
    values = [
        *((f.target, f"b.{quote(f.target)}") for f in output),
        *filled,
        *((name, "NULL") for name in others),
    ]
    names = ", ".join(quote(name) for name, _ in values)
    table, mark = qualified(target), quote(FENCE_COLUMN)
    later = f"EXISTS (SELECT 1 FROM {table} AS n WHERE n.{mark} > {fence})"
    keys = ", ".join(f"b.{quote(f.target)}" for f in key)
    same = " AND ".join(f"g.{quote(f.target)} = t.{quote(f.target)}" for f in key)
    found = f"NOT {later} AND NOT EXISTS (SELECT 1 FROM {qualified(shadow)} AS g WHERE {same})"
    return (
        f"INSERT OVERWRITE INTO {table} ({names}) "
        f"SELECT {', '.join(f'{value} AS {quote(name)}' for name, value in values)} "
        f"FROM {qualified(shadow)} AS b WHERE NOT {later} "
        f"QUALIFY ROW_NUMBER() OVER (PARTITION BY {keys} ORDER BY b.{mark} DESC) = 1 "
        f"UNION ALL SELECT {', '.join(f't.{quote(name)}' for name, _ in values)} FROM {table} AS t WHERE {later}"
        f"{carried_over(gone, target, [name for name, _ in values], filled, key, found)}"
    )
