# ruff: noqa: S608  (composing SQL is what this module is for; every name in it goes through names.py)
"""Statements that replace a target's content or append to it, as text. Pure.

Sources: Snowflake docs, "INSERT" (OVERWRITE), "MERGE".
"""

from __future__ import annotations

from collections.abc import Sequence

from pgsnow.model.metadata_columns import FENCE_COLUMN, HASH_COLUMN, OCCURRENCE_COLUMN, ORDER_COLUMN
from pgsnow.model.table import TargetName
from pgsnow.model.types.mapping import Field
from pgsnow.snowflake.names import qualified, quote, staging_table
from pgsnow.snowflake.sql.soft_deletes import Gone, carried_over
from pgsnow.snowflake.sql.staged import unless_later
from pgsnow.snowflake.sql.statements import Filled, staged_values


def overwrite(
    target: TargetName,
    batch: str,
    output: Sequence[Field],
    key: Sequence[Field],
    filled: Sequence[Filled],
    others: Sequence[str],
    fence: int,
    gone: Gone = Gone.DELETED,
) -> str:
    """Replace all rows of the target with those of the staging table; of rows with one key, with the last one.

    If a run with a higher fence has written to the target, its content stays as it is. filled: pgsnow's metadata
    columns in the target, with their values. others: columns that are neither pgsnow's nor in the output; NULL in new
    rows. gone: what happens to rows whose key is not staged.
    """
    values = [*staged_values(output), *filled, *((name, "NULL") for name in others)]
    names = ", ".join(quote(name) for name, _ in values)
    table, mark = qualified(target), quote(FENCE_COLUMN)
    later = f"EXISTS (SELECT 1 FROM {table} AS n WHERE n.{mark} > {fence})"
    one_a_key = ""
    if key:
        keys = ", ".join(f"r.{quote(f.target)}" for f in key)
        order = f"ORDER BY r.{quote(ORDER_COLUMN)} DESC"
        one_a_key = f" QUALIFY ROW_NUMBER() OVER (PARTITION BY {keys} {order}) = 1"
    staged = " AND ".join(
        f"{f.type.merge.format(c=f'g.{quote(f.target)}')} = t.{quote(f.target)}" for f in key
    )
    found = f"NOT {later} AND NOT EXISTS (SELECT 1 FROM {qualified(staging_table(target, batch))} AS g WHERE {staged})"
    return (
        f"INSERT OVERWRITE INTO {table} ({names}) "
        f"SELECT {', '.join(f'{value} AS {quote(name)}' for name, value in values)} "
        f"FROM {qualified(staging_table(target, batch))} AS r WHERE NOT {later}{one_a_key} "
        f"UNION ALL SELECT {', '.join(f't.{quote(name)}' for name, _ in values)} FROM {table} AS t WHERE {later}"
        f"{carried_over(gone, target, [name for name, _ in values], filled, key, found)}"
    )


def overwrite_from(
    target: TargetName,
    source: str,
    output: Sequence[Field],
    key: Sequence[Field],
    filled: Sequence[Filled],
    fence: int,
    guard: str,
) -> str:
    """`overwrite` with the rows of part files, without a staging table; other columns than pgsnow's get their default.

    It fails with error 100038 and changes nothing if a run with a higher fence has written to the target
    (`later_fence` reads its message), or if the guard fails. source: text for FROM, with the rows as `r`. guard: the
    fence, as an expression that fails unless all rows were read.
    """
    own = unless_later(target, fence, guard)
    values = [
        *staged_values(output),
        *((name, own if name == FENCE_COLUMN else value) for name, value in filled),
    ]
    one_a_key = ""
    if key:
        keys = ", ".join(f"r.{quote(f.target)}" for f in key)
        one_a_key = (
            f" QUALIFY ROW_NUMBER() OVER (PARTITION BY {keys} ORDER BY r.{quote(ORDER_COLUMN)} DESC) = 1"
        )
    return (
        f"INSERT OVERWRITE INTO {qualified(target)} ({', '.join(quote(name) for name, _ in values)}) "
        f"SELECT {', '.join(f'{value} AS {quote(name)}' for name, value in values)} FROM {source}{one_a_key}"
    )


def identity() -> tuple[Filled, ...]:
    """Expressions that identify rows without a key: their content hash, and a number among equal rows."""
    digest = f"r.{quote(HASH_COLUMN)}"
    number = f"ROW_NUMBER() OVER (PARTITION BY {digest} ORDER BY r.{quote(ORDER_COLUMN)})"
    return ((HASH_COLUMN, digest), (OCCURRENCE_COLUMN, number))


def append(target: TargetName, batch: str, output: Sequence[Field], filled: Sequence[Filled]) -> str:
    """Add the rows whose content hash and number are not in the target yet. A stale worker can only add rows that
    the source did contain."""
    values = [*staged_values(output), *filled]
    matching = " AND ".join(f"t.{quote(name)} = s.{quote(name)}" for name in (HASH_COLUMN, OCCURRENCE_COLUMN))
    return (
        f"MERGE INTO {qualified(target)} AS t USING ("
        f"SELECT {', '.join(f'{value} AS {quote(name)}' for name, value in values)} "
        f"FROM {qualified(staging_table(target, batch))} AS r"
        f") AS s ON {matching} "
        f"WHEN NOT MATCHED THEN INSERT ({', '.join(quote(name) for name, _ in values)}) "
        f"VALUES ({', '.join(f's.{quote(name)}' for name, _ in values)})"
    )


def count_staged(target: TargetName, batch: str) -> str:
    """Count the rows of the staging table, under the name that COPY gives to its number."""
    return f'SELECT COUNT(*) AS "rows_loaded" FROM {qualified(staging_table(target, batch))}'


def forget_rows(target: TargetName, batch: str, first_row: int) -> str:
    """Delete the rows that a failed attempt at a batch may have left, but none of the batches before it."""
    return f"DELETE FROM {qualified(staging_table(target, batch))} WHERE {quote(ORDER_COLUMN)} >= {first_row}"
