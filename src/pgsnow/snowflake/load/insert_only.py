"""The steps that copy staged batches of a table whose rows never change, in one transaction with their record."""

from __future__ import annotations

from collections.abc import Sequence

from pgsnow.model.deferred_batch import StagedBatch
from pgsnow.model.errors import StagedRowsLost
from pgsnow.model.metadata_columns import FENCE_COLUMN
from pgsnow.snowflake.sql import batch_record as sql
from pgsnow.snowflake.sql.direct_copy import copy_into_target
from pgsnow.snowflake.sql.statements import Filled
from pgsnow.snowflake.statement import COPY, RowsLoaded, SqlStatement, Step

Origins = Sequence[tuple[StagedBatch, str]]
"""Batches, each with its folder as a COPY names it."""


def copy_step(batch: StagedBatch, origin: str, audited: Sequence[Filled]) -> Step:
    """Copy the batch's rows. The proof that all of them were copied raises StagedRowsLost."""
    target = batch.layout.target
    filled = ((FENCE_COLUMN, str(batch.fence)), *audited)
    message = f"{target}: batch {batch.batch} was staged with {batch.rows} rows, Snowflake loaded"
    text = copy_into_target(target, batch.layout.columns, filled, origin)
    return SqlStatement(text, COPY, RowsLoaded(batch.rows, message, StagedRowsLost))


def transaction_steps(batches: Origins, fence: int, audited: Sequence[Filled]) -> tuple[Step, ...]:
    """The whole transaction, if none of the batches is recorded yet."""
    target, names = batches[0][0].layout.target, [batch.batch for batch, _ in batches]
    return (
        SqlStatement(sql.BEGIN),
        SqlStatement(sql.record(target, fence, names)),
        *(copy_step(batch, origin, audited) for batch, origin in batches),
        SqlStatement(sql.COMMIT),
    )
