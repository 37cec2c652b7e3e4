"""Removes the rows of given keys from a target: deletes them, or marks them where the table keeps deleted rows."""

from __future__ import annotations

from dataclasses import dataclass

from pgsnow.model.batch import LoadBatch
from pgsnow.model.config.options import Deletes
from pgsnow.snowflake.load.cleanup import newest_fence
from pgsnow.snowflake.load.deletes import few_steps, many_steps
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.sql.deletes import Removal
from pgsnow.snowflake.sql.soft_deletes import Gone, removal_of
from pgsnow.snowflake.statement import Step, execute, number_in
from pgsnow.sync.load.context import LoadContext
from pgsnow.sync.pipeline.key_spool import KeySpool
from pgsnow.sync.pipeline.load_batches import batch_name

NUMBER = 900_000
"""Number of the run's batch that holds staged keys; no batch of rows has it."""


@dataclass(frozen=True, slots=True)
class Removed:
    """rows: how many were deleted, or marked. certain: False if an answer was lost, so that more may have been."""

    rows: int
    certain: bool = True


def remove_keys(load: LoadContext, keys: KeySpool, deletes: Deletes) -> Removed:
    """Remove the rows of these keys, except those that a run with a later fence wrote. deletes: delete or
    mark them.

    Idempotent: a repeated statement finds nothing more. Its session is recorded in the ledger first, so LeaseLost is
    raised before any visible change, and a run that takes over cancels the statement.

    Raises LedgerOutdated, as ClaimedTable.check_fence does, if rows of a later run kept their rows; TargetMissing.
    """
    removal = removal_of(Gone.MARKED if deletes is Deletes.SOFT else Gone.DELETED, load.audited())
    batch = None
    if keys.few is None:
        fence, parts = load.table.claim.fence, keys.parts()
        batch = LoadBatch(batch_name(load.plan, fence, NUMBER), fence, parts)
        load.batches.begin(batch.batch)
    was_certain = not load.session.failed
    rows = load.session.do(lambda session: _remove(load, session, keys, batch, removal))
    certain = was_certain and not load.session.failed
    if not removal.leaves_rows:
        load.table.add_rows(-rows if certain else None)
    if certain and rows < keys.rows:
        load.table.check_fence(load.session.do(lambda session: newest_fence(session, load.plan.target)))
    load.recorder.tell("deleted", rows=rows)
    return Removed(rows, certain)


def _remove(
    load: LoadContext, session: Session, keys: KeySpool, batch: LoadBatch | None, removal: Removal
) -> int:
    load.batches.running(session.number)
    steps: tuple[Step, ...]
    if batch is None:
        steps = few_steps(load.plan, keys.few or (), load.table.claim.fence, removal)
    else:
        method = load.method(batch.rows, batch.size)
        steps = many_steps(load.plan, batch, method=method, stage=load.stage, removal=removal)
    rows = 0
    for done in execute(session, steps):
        rows += sum(number_in(result, removal.counted) for result in done.results)
        load.recorder.query_ids += [result.query_id for result in done.results if done.phase]
    return rows
