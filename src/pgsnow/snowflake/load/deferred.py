"""Batches that waited in a stage into their target: copied into one staging table, counted, merged at once.

This is what needs a warehouse: "for queries, as well as all DML operations, including loading data into tables"
(Snowflake docs, "Virtual warehouses", https://docs.snowflake.com/en/user-guide/warehouses), so COPY INTO, MERGE and
INSERT do. PUT, LIST, REMOVE, DDL, DESCRIBE and SHOW are none of these. A warehouse that is named at login is resumed by
a statement that needs it, not by the login ("Overview of warehouses", auto-resumption).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pgsnow.model.batch import LoadResult
from pgsnow.model.deferred_batch import StagedBatch
from pgsnow.model.errors import StagedRowsLost
from pgsnow.snowflake.load.merge import Steps, number_in
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.sql import statements as sql
from pgsnow.snowflake.stage.stage import Stage


def load_staged(
    session: Session,
    into: str,
    batches: Sequence[tuple[StagedBatch, Stage]],
    *,
    audited: Sequence[sql.Filled],
    notify: Callable[[str], None],
) -> LoadResult:
    """All these batches, which are of one layout, by way of the staging table of the batch `into`.

    One row a key: the one read last. The rows get the highest fence among the batches: whatever was in the target by
    then was written under a lower one, and later runs have higher ones. `notify`: "copied" and "merged". Idempotent.
    Raises StagedRowsLost before the MERGE if a batch has other rows than it should, and what Session.execute raises.
    """
    step, layout = Steps(session, notify), batches[0][0].layout
    session.execute(sql.create_staging(layout.target, into, layout.columns))
    with step.timed("copy", "copied"):
        for batch, staging in batches:
            copied = step.run(staging.copy(layout.target, batch.batch, into))
            _expect(batch, number_in(copied, "rows_loaded"))
    fence = max(batch.fence for batch, _ in batches)
    with step.timed("merge", "merged"):
        merged = step.run(sql.merge(layout.target, into, layout.columns, layout.key, fence, audited))
    return LoadResult(
        inserted=number_in(merged, "number of rows inserted"),
        updated=number_in(merged, "number of rows updated"),
        query_ids=tuple(step.query_ids),
        seconds=step.seconds,
    )


def _expect(batch: StagedBatch, loaded: int) -> None:
    if loaded != batch.rows:
        raise StagedRowsLost(
            f"{batch.layout.target}: batch {batch.batch} was staged with {batch.rows} rows, Snowflake found {loaded}"
        )
