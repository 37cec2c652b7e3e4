"""The steps that merge one load batch into its target: straight from its files or from bound values with one
statement, or through a staging table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pgsnow.model.batch import LoadBatch
from pgsnow.model.metadata_columns import HASH_COLUMN, ORDER_COLUMN
from pgsnow.model.table import TargetName
from pgsnow.model.types.mapping import Field
from pgsnow.snowflake.load.bind_values import BoundInsert, bind_batches
from pgsnow.snowflake.sql import statements as sql
from pgsnow.snowflake.sql.staged import ExpectedTarget, guarded, staged_source
from pgsnow.snowflake.stage.stage import INTERNAL, Stage
from pgsnow.snowflake.statement import COPY, MERGE, GuardedStatement, RowsLoaded, SqlStatement, Step

Method = Literal["stage", "insert"]
INSERT_ROWS = 4
INSERT_BYTES = 1 << 20
"""Up to both of these limits, bound inserts are faster. Measured: docs/loading.md."""


def choose_method(rows: int, size: int) -> Method:
    """The method for loading `rows` rows in part files of `size` bytes, for `load: auto`."""
    return "insert" if rows <= INSERT_ROWS and size <= INSERT_BYTES else "stage"


def merge_at_once(
    target: TargetName,
    output: Sequence[Field],
    key: Sequence[Field],
    batch: LoadBatch,
    *,
    origin: str | None,
    audited: Sequence[sql.Filled] = (),
    stage: Stage = INTERNAL,
    parts: Sequence[Path] | None = None,
    expected: ExpectedTarget | None = None,
) -> tuple[Step, ...]:
    """Merge the batch with one statement, without a staging table: from its files, which are uploaded first, or, if
    there is no origin, from bound values, for a few rows.

    origin: the batch's folder as `Stage.origin` names it. parts: as in `merge_steps`. expected: the target as it must
    be; None: it is not compared. Idempotent, but for `expected`. Before any change, it raises LoadMismatch
    if not all rows are read, TargetRowsChanged, and TargetQueryFailed with `later_fence` if a later run has written to
    the target.
    """
    paths, counted = [part.path for part in batch.parts], expected is not None
    if origin is None:
        rows = [row for path in paths for piece in bind_batches(path) for row in piece]
        uploads, binds = tuple[Step, ...](), [bind for row in rows for bind in row]
        source = staged_source(target, output, bound=len(rows), counted=counted)
    else:
        uploads, binds = stage.put(target, batch.batch, paths if parts is None else parts), None
        source = staged_source(target, output, [origin], counted=counted)
    fence = guarded(str(batch.fence), batch.rows, expected, not_after=batch.fence)
    text = sql.merge_from(target, source, output, key, fence, audited, batch.bounds)
    return (*uploads, GuardedStatement(text, _all_rows(target, batch), MERGE, binds))


def merge_steps(
    target: TargetName,
    output: tuple[Field, ...],
    key: tuple[Field, ...],
    batch: LoadBatch,
    *,
    method: str,
    audited: Sequence[sql.Filled] = (),
    stage: Stage = INTERNAL,
    parts: Sequence[Path] | None = None,
    into: TargetName | None = None,
) -> tuple[Step, ...]:
    """Create a staging table, fill it, prove that it has all rows, and merge them with one atomic statement.

    parts: the files that are not in the stage yet; by default all of them. into: the table to merge into, if it is not
    the target. Idempotent: the staging table starts empty, and repeating a MERGE leaves the same rows. Nothing is
    cleaned up. A proof that fails before the MERGE raises LoadMismatch.
    """
    if batch.rows == 0:
        return ()
    return (
        SqlStatement(sql.create_staging(target, batch.batch, output)),
        *fill_steps(target, output, batch, batch.batch, method=method, stage=stage, parts=parts),
        SqlStatement(
            sql.merge(target, batch.batch, output, key, batch.fence, audited, into, batch.bounds),
            MERGE,
        ),
    )


def fill_steps(
    target: TargetName,
    output: Sequence[Field],
    batch: LoadBatch,
    into: str,
    *,
    method: str,
    stage: Stage,
    parts: Sequence[Path] | None = None,
    hashed: bool = False,
    force: bool = False,
    more: Sequence[tuple[str, str]] = (),
) -> tuple[Step, ...]:
    """Load the batch's rows into the staging table of the batch `into`, and prove that it has all of them.

    hashed: the part files have HASH_COLUMN. force: load files even if files of these names were loaded before. more:
    further columns of the files that are loaded, with their types.
    """
    paths = tuple(part.path for part in batch.parts)
    if method != "stage":
        names = [*(field.target for field in output), *([HASH_COLUMN] if hashed else [])]
        names += [*(name for name, _ in more), ORDER_COLUMN]
        text = sql.insert_into_staging(target, into, names)
        chosen = None if batch.changes is None else names
        return (BoundInsert(text, paths, _all_rows(target, batch, None), columns=chosen),)
    copy = stage.copy(target, batch.batch, into, force=force)
    return (
        *stage.put(target, batch.batch, paths if parts is None else parts),
        SqlStatement(copy, COPY, _all_rows(target, batch)),
    )


def _all_rows(target: TargetName, batch: LoadBatch, column: str | None = "rows_loaded") -> RowsLoaded:
    message = f"{target}: batch {batch.batch} has {batch.rows} row{'s' * (batch.rows != 1)}, Snowflake loaded"
    return RowsLoaded(batch.rows, message, column=column)
