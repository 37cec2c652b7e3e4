"""Loads a batch straight into the target with one COPY, for rows of which the target has no other version.

A COPY commits completely or not at all. Its rows carry the fence of their attempt, so that an attempt whose response
was lost can be detected. docs/decisions/23-straight-into-the-empty-target.md
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pgsnow.model.batch import LoadBatch
from pgsnow.model.config.sync_config import TableMode
from pgsnow.model.errors import LoadMismatch
from pgsnow.model.metadata_columns import FENCE_COLUMN
from pgsnow.model.plan import TablePlan
from pgsnow.model.sentences import counted
from pgsnow.model.table import TargetName
from pgsnow.model.table_key import UNPROVEN
from pgsnow.snowflake.load.duplicates import remove_surplus
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.sql import direct_copy as copy_sql
from pgsnow.snowflake.sql import statements as sql
from pgsnow.snowflake.stage.stage import Stage
from pgsnow.snowflake.statement import COPY, RowsLoaded, SqlStatement, Step, number_in

DELETED = "number of rows deleted"


def can_copy_directly(plan: TablePlan) -> bool:
    """True if a full read has at most one row per key. Rows without a key, with an unproven key, or with a key that
    the transform may change, must be merged."""
    if plan.config.mode not in (TableMode.WATERMARK, TableMode.XMIN, TableMode.LOG):
        return False
    transform = plan.config.transform
    changed = {*transform.adds, *transform.cast, *transform.sensitive} if transform else set()
    free = transform is None or transform.function is None
    proven = bool(plan.pk) and plan.source.relkind not in UNPROVEN and changed.isdisjoint(plan.pk)
    # Snowflake does not document how a quote in a name is written in a path.
    return free and proven and not any('"' in field.target for field in plan.output)


def copy_steps(
    plan: TablePlan,
    into: TargetName,
    batch: LoadBatch,
    *,
    stage: Stage,
    origin: str,
    parts: Sequence[Path] | None = None,
    audited: Sequence[sql.Filled] = (),
) -> tuple[Step, ...]:
    """Upload the batch's files, and copy their rows into the target or its shadow table.

    origin: the batch's folder as `Stage.origin` names it. A failing proof raises LoadMismatch; it is unknown then
    which rows are in the table. Not idempotent: see `has_come_through`.
    """
    filled = ((FENCE_COLUMN, str(batch.fence)), *audited)
    message = f"{into}: batch {batch.batch} has {batch.rows} row{'s' * (batch.rows != 1)}, Snowflake loaded"
    copy = copy_sql.copy_into_target(into, plan.output, filled, origin)
    return (
        *stage.put(into, batch.batch, [part.path for part in batch.parts] if parts is None else parts),
        SqlStatement(copy, COPY, RowsLoaded(batch.rows, message)),
    )


def has_come_through(session: Session, into: TargetName, batch: LoadBatch, before: int | None) -> bool:
    """True if an earlier attempt at this batch, whose response was lost, has loaded its rows.

    before: number of rows that earlier batches loaded under the same fence; None: unknown. Raises LoadMismatch if the
    table has neither the number of rows before the batch nor the number after it.
    """
    ((there,),) = session.execute(copy_sql.count_of(into, batch.fence)).rows
    if before is not None and int(there) in (before, before + batch.rows):
        return bool(int(there) != before)
    raise LoadMismatch(
        f"{into}: {there} rows of {batch.batch} and earlier batches found, {before} were loaded before it"
    )


def has_no_older_row(
    session: Session, into: TargetName, not_after: int | None, after: int | None = None
) -> bool:
    """True if the table has no row that was written under this fence or a lower one; None: no row at all. after: nor
    one with a higher fence than this."""
    return not session.execute(copy_sql.any_row(into, not_after=not_after, after=after)).rows


def delete_attempts(session: Session, into: TargetName, fences: Sequence[int]) -> int:
    """Delete the rows of these attempts; returns how many. Idempotent."""
    if not fences:
        return 0
    return number_in(session.execute(copy_sql.delete_attempts(into, fences)), DELETED)


def remove_duplicates(
    session: Session, plan: TablePlan, not_after: int | None, given_up: Sequence[int]
) -> list[str]:
    """After a full read: keep one row per key, and no row of the attempts `given_up`; returns sentences about what
    was done. Idempotent. not_after: as in `has_no_older_row`; if there is an older row, the batches were merged."""
    if not_after is not None and not has_no_older_row(session, plan.target, not_after):
        # The COPY of a worker that has lost the table may commit late, after rows with the same keys were merged.
        late = _delete_overtaken(session, plan, since=not_after + 1) if can_copy_directly(plan) else 0
        return [f"removed {counted(late, 'late row')} of abandoned load attempts"] if late else []
    events = []
    if gone := delete_attempts(session, plan.target, given_up):
        events.append(f"deleted {counted(gone, 'row')} of abandoned load attempts")
    twice = session.execute(copy_sql.any_twice(plan.target, plan.key)).rows
    if twice and (gone := remove_surplus(session, plan)):
        events.append(f"removed {counted(gone, 'duplicate')} of rows that moved while they were read")
    return events


def _delete_overtaken(session: Session, plan: TablePlan, since: int) -> int:
    """Delete rows under a lower fence than `since` if a newer row with their key exists; returns how many."""
    return number_in(session.execute(copy_sql.delete_overtaken(plan.target, plan.key, since)), DELETED)
