"""The steps that load staged batches: merged with one MERGE, straight from their files or through a staging table.

Only these steps need a warehouse: "for queries, as well as all DML operations, including loading data into tables"
(Snowflake docs, "Virtual warehouses", https://docs.snowflake.com/en/user-guide/warehouses), so COPY INTO, MERGE and
INSERT do. PUT, LIST, REMOVE, DDL, DESCRIBE and SHOW do not. A warehouse that is named at login is resumed by a
statement that needs it, not by the login ("Overview of warehouses", auto-resumption).
"""

from __future__ import annotations

from collections.abc import Sequence

from pgsnow.model.batch import bounds_of_all
from pgsnow.model.deferred_batch import StagedBatch
from pgsnow.model.errors import StagedRowsLost
from pgsnow.snowflake.sql import statements as sql
from pgsnow.snowflake.sql.staged import ExpectedTarget, guarded, staged_source, unless_later
from pgsnow.snowflake.stage.stage import Stage
from pgsnow.snowflake.statement import COPY, MERGE, GuardedStatement, RowsLoaded, SqlStatement, Step


def deferred_at_once(
    batches: Sequence[tuple[StagedBatch, str]],
    audited: Sequence[sql.Filled],
    *,
    target: ExpectedTarget | None,
    not_after: int,
) -> tuple[Step, ...]:
    """As `deferred_steps`, with one MERGE that reads the files of all these batches, given with their folders as
    `Stage.origin` names them. target: as it must be; None: it is not compared. not_after: the
    highest fence that it may have. Before any change, it raises StagedRowsLost if not all rows are read,
    TargetRowsChanged, and TargetQueryFailed with `later_fence`."""
    layout, rows = batches[0][0].layout, sum(batch.rows for batch, _ in batches)
    origins = [origin for _, origin in batches]
    source = staged_source(layout.target, layout.columns, origins, counted=target is not None)
    fence = guarded(str(max(batch.fence for batch, _ in batches)), rows, target)
    fence = unless_later(layout.target, not_after, fence)
    bounds = bounds_of_all(batch.bounds for batch, _ in batches)
    text = sql.merge_from(layout.target, source, layout.columns, layout.key, fence, audited, bounds)
    message = f"{layout.target}: {len(batches)} batches were staged with {rows} rows, Snowflake found"
    return (GuardedStatement(text, RowsLoaded(rows, message, StagedRowsLost), MERGE),)


def deferred_steps(
    into: str, batches: Sequence[tuple[StagedBatch, Stage]], audited: Sequence[sql.Filled]
) -> tuple[Step, ...]:
    """Load all these batches, which have one layout, through the staging table of the batch `into`.

    One row per key remains: the one that was read last. The rows get the highest fence among the batches: everything
    that was in the target before has a lower one, and later runs have higher ones. Idempotent. A proof that fails
    before the MERGE raises StagedRowsLost: a batch does not have the rows that were staged.
    """
    layout = batches[0][0].layout
    fence = max(batch.fence for batch, _ in batches)
    bounds = bounds_of_all(batch.bounds for batch, _ in batches)
    merge = sql.merge(layout.target, into, layout.columns, layout.key, fence, audited, bounds=bounds)
    return (
        SqlStatement(sql.create_staging(layout.target, into, layout.columns)),
        *copies(into, batches),
        SqlStatement(merge, MERGE),
    )


def copies(into: str, batches: Sequence[tuple[StagedBatch, Stage]]) -> list[Step]:
    """Copy the files of these batches into the staging table of the batch `into`; none of a batch without rows. A proof
    that fails raises StagedRowsLost."""
    return [
        SqlStatement(stage.copy(batch.layout.target, batch.batch, into), COPY, _all_rows(batch))
        for batch, stage in batches
        if batch.rows
    ]


def _all_rows(batch: StagedBatch) -> RowsLoaded:
    rows = f"{batch.rows} row{'s' * (batch.rows != 1)}"
    message = f"{batch.layout.target}: batch {batch.batch} was staged with {rows}, Snowflake found"
    return RowsLoaded(batch.rows, message, StagedRowsLost)
