"""A load unit straight into the target, by one COPY: for rows of which the target has no version.

A COPY commits as a whole or not at all. Its rows carry the fence of their attempt, so that an attempt whose answer was
lost can be found. docs/decisions/23-straight-into-the-empty-target.md
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pgsnow.model.batch import LoadBatch, LoadResult
from pgsnow.model.config.sync_config import TableMode
from pgsnow.model.errors import LoadMismatch
from pgsnow.model.metadata_columns import FENCE_COLUMN
from pgsnow.model.plan import TablePlan
from pgsnow.model.table import TargetName
from pgsnow.model.table_key import UNPROVEN
from pgsnow.snowflake.load.merge import Steps, number_in, put_parts
from pgsnow.snowflake.schema.target_table import describe
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.sql import direct_copy as straight_sql
from pgsnow.snowflake.sql import statements as sql
from pgsnow.snowflake.stage.stage import Stage


@dataclass(frozen=True, slots=True)
class Try:
    """One more try at a unit. again: it may have come through. before: rows that the units before it have put there
    under the same fence; None: not known."""

    again: bool = False
    before: int | None = 0


def can_go_straight(plan: TablePlan) -> bool:
    """True if a full read has at most one row of a key. What goes by no key, or by one that nothing proves or that the
    transform may change, is merged."""
    if plan.config.mode not in (TableMode.WATERMARK, TableMode.XMIN):
        return False
    transform = plan.config.transform
    changed = {*transform.adds, *transform.cast, *transform.sensitive} if transform else set()
    free = transform is None or transform.function is None
    proven = bool(plan.pk) and plan.source.relkind not in UNPROVEN and changed.isdisjoint(plan.pk)
    # Nobody says how a quote in a name is written in a path.
    return free and proven and not any('"' in field.target for field in plan.output)


def is_without_older(session: Session, into: TargetName, not_after: int | None) -> bool:
    """True if the table holds no row that was written under this fence or before it; None: no row at all."""
    return not session.execute(straight_sql.any_row(into, not_after=not_after)).rows


def delete_attempts(session: Session, into: TargetName, fences: Sequence[int]) -> int:
    """Delete what these attempts have put there; how many rows. Idempotent."""
    if not fences:
        return 0
    return number_in(session.execute(straight_sql.delete_attempts(into, fences)), "number of rows deleted")


def load_straight(
    session: Session,
    plan: TablePlan,
    into: TargetName,
    unit: LoadBatch,
    attempt: Try,
    *,
    audited: Sequence[sql.Filled],
    staging: Stage,
    origin: str,
    holds: Callable[[], None],
    notify: Callable[[str], None],
) -> LoadResult:
    """Put the unit's rows into the target or what stands for it, once, and prove that all of them are there.

    holds: raises LeaseLost; asked when the files are there and nothing was copied. Who takes the table over removes
    those files before anything else, so that a COPY that comes too late finds none. `notify` is called after each step:
    "put", "copied". Raises LoadMismatch, after which nobody knows what is there.
    """
    step = Steps(session, notify, staging)
    if attempt.again and _came_through(session, into, unit, attempt.before):
        return LoadResult(inserted=unit.rows)
    put_parts(step, into, unit)
    holds()
    filled = ((FENCE_COLUMN, str(unit.fence)), *audited)
    with step.timed("copy", "copied"):
        loaded = _rows_loaded(step, straight_sql.copy_into_target(into, plan.output, filled, origin))
    if loaded != unit.rows:
        raise LoadMismatch(f"{into}: batch {unit.batch} has {unit.rows} rows, Snowflake loaded {loaded}")
    return LoadResult(inserted=loaded, query_ids=tuple(step.query_ids), seconds=step.seconds)


def _came_through(session: Session, into: TargetName, unit: LoadBatch, before: int | None) -> bool:
    ((there,),) = session.execute(straight_sql.count_of(into, unit.fence)).rows
    if before is not None and int(there) in (before, before + unit.rows):
        return bool(int(there) != before)
    raise LoadMismatch(
        f"{into}: {there} rows of {unit.batch} and the units before it are there, {before} were loaded before it"
    )


def _rows_loaded(step: Steps, statement: str) -> int:
    """Without a file the answer is one line that has no such column."""
    result = step.run(statement)
    return number_in(result, "rows_loaded") if "rows_loaded" in result.columns else 0


def keep_one_a_key(session: Session, plan: TablePlan) -> int:
    """After units of several snapshots: remove rows whose key is there again; how many. Idempotent."""
    if not session.execute(straight_sql.any_twice(plan.target, plan.key)).rows:
        return 0
    ((before,),) = session.execute(sql.count(plan.target)).rows
    columns = [column.name for column in describe(session, plan.target) or [] if not column.computed]
    kept = session.execute(straight_sql.keep_one_a_key(plan.target, columns, plan.key))
    return int(before) - number_in(kept, "number of rows inserted")


def delete_overtaken(session: Session, plan: TablePlan, since: int) -> int:
    """Rows that came late, under a lower fence than `since`, beside rows of their key that came straight: how many
    were deleted. Where all was merged there are none. Idempotent."""
    deleted = session.execute(straight_sql.delete_overtaken(plan.target, plan.key, since))
    return number_in(deleted, "number of rows deleted")
