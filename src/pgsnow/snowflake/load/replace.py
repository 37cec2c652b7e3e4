"""The steps that replace a target's content, or append to it: staged in one table, then applied with one statement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pgsnow.model.batch import LoadBatch
from pgsnow.model.config.sync_config import TableMode
from pgsnow.model.metadata_columns import FENCE_COLUMN
from pgsnow.model.plan import TablePlan
from pgsnow.snowflake.load.merge import fill_steps
from pgsnow.snowflake.schema.target_table import TargetColumn
from pgsnow.snowflake.sql import replace as replace_sql
from pgsnow.snowflake.sql import statements as sql
from pgsnow.snowflake.sql.soft_deletes import CLEARED, Gone
from pgsnow.snowflake.sql.staged import guarded, staged_source
from pgsnow.snowflake.stage.stage import INTERNAL, Stage
from pgsnow.snowflake.statement import MERGE, REPLACE, GuardedStatement, RowsLoaded, SqlStatement, Step


@dataclass(frozen=True, slots=True)
class Content:
    """All rows that one run reads of a table, to be loaded as a whole. batch: the load batch whose staging table
    holds them. gone: what happens to rows of the target that are not among them."""

    plan: TablePlan
    batch: str
    fence: int
    run_id: str
    gone: Gone = Gone.DELETED

    @property
    def hashed(self) -> bool:
        """True if rows are identified by their content hash."""
        return self.plan.config.mode is TableMode.APPEND

    @property
    def audited(self) -> tuple[sql.Filled, ...]:
        """The audit columns, if the target has them, with their values."""
        return sql.audit(self.run_id) if self.plan.config.audit_columns else ()

    @property
    def filled(self) -> tuple[sql.Filled, ...]:
        """The target's metadata columns with their values."""
        identity = replace_sql.identity() if self.hashed else ()
        cleared = (CLEARED,) if self.plan.marks_deleted else ()
        return ((FENCE_COLUMN, str(self.fence)), *self.audited, *identity, *cleared)


def create_step(content: Content) -> Step:
    """Create the staging table, empty. Idempotent."""
    plan = content.plan
    return SqlStatement(sql.create_staging(plan.target, content.batch, plan.output, hashed=content.hashed))


def stage_steps(
    content: Content,
    batch: LoadBatch,
    *,
    method: str,
    again: bool = False,
    stage: Stage = INTERNAL,
    parts: Sequence[Path] | None = None,
) -> tuple[Step, ...]:
    """Add the rows of one batch to the staging table, and prove that it has them; the first batch creates it.

    again: an earlier attempt at this batch may have loaded some or all of its rows, which are deleted first. A failing
    proof raises LoadMismatch.
    """
    plan, before = content.plan, tuple[Step, ...]()
    if batch.batch == content.batch:
        before = (create_step(content),)
    elif again:
        before = (SqlStatement(replace_sql.forget_rows(plan.target, content.batch, batch.first_row)),)
    fill = fill_steps(
        plan.target, plan.output, batch, content.batch,
        method=method, stage=stage, parts=parts, hashed=content.hashed, force=again,
    )  # fmt: skip
    return (*before, *fill)


def replace_steps(content: Content, foreign: Sequence[str], rows: int | None = None) -> tuple[Step, ...]:
    """Replace the target's content with the staged rows in one step. Idempotent.

    foreign: see `foreign_columns`; they are NULL in new rows. rows: number of staged rows. Without a key, a failing
    proof raises LoadMismatch: the target then has the rows of a later run, which stay.
    """
    plan = content.plan
    text = replace_sql.overwrite(
        plan.target, content.batch, plan.output, plan.target_key, content.filled, foreign, content.fence,
        content.gone,
    )  # fmt: skip
    proof = None
    if rows is not None and not plan.target_key:
        message = f"{plan.target}: {rows} rows were staged; rows in the table:"
        proof = RowsLoaded(rows, message, column="number of rows inserted")
    return (SqlStatement(text, REPLACE, proof),)


def replace_at_once(
    content: Content, batches: Sequence[LoadBatch], origins: Sequence[str]
) -> tuple[Step, ...]:
    """Replace the target's content with the rows of these batches, straight from their files, in one step. Idempotent.

    origins: their folders, as `Stage.origin` names them. Rows that the source no longer has are deleted, whatever
    `content.gone` says. Before any change, it raises LoadMismatch if not all rows are read, and TargetQueryFailed with
    `later_fence` if the target has rows of a later run.
    """
    plan, rows = content.plan, sum(batch.rows for batch in batches)
    source = staged_source(plan.target, plan.output, origins, hashed=content.hashed)
    guard = guarded(str(content.fence), rows)
    text = replace_sql.overwrite_from(
        plan.target, source, plan.output, plan.target_key, content.filled, content.fence, guard
    )
    message = f"{plan.target}: {rows} rows were staged, Snowflake read"
    return (GuardedStatement(text, RowsLoaded(rows, message), REPLACE),)


def append_steps(content: Content, rows: int) -> tuple[Step, ...]:
    """Add staged rows that the target does not have; nothing else is changed. Idempotent.

    rows: number of rows that were read. Raises LoadMismatch, before any change, if another number is staged: equal rows
    are told apart by a number only, so rows that a late COPY has staged twice would be added.
    """
    plan = content.plan
    text = replace_sql.append(plan.target, content.batch, plan.output, content.filled)
    staged = RowsLoaded(rows, f"{plan.target}: {rows} rows were read; rows that were staged and loaded")
    return (
        SqlStatement(replace_sql.count_staged(plan.target, content.batch), proof=staged),
        SqlStatement(text, MERGE),
    )


def foreign_columns(plan: TablePlan, there: Sequence[TargetColumn] | None) -> list[str]:
    """Columns of the target that pgsnow did not create and that have neither a default nor an expression."""
    known = {f.target for f in plan.output} | {column.name for column in plan.metadata_columns}
    return [
        column.name
        for column in there or ()
        if column.name not in known and not column.computed and not column.has_default
    ]
