"""A whole content into its target: gathered in one staging table, then put in place by one atomic statement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pgsnow.model.batch import LoadBatch, LoadResult
from pgsnow.model.config.sync_config import TableMode
from pgsnow.model.errors import LoadMismatch
from pgsnow.model.metadata_columns import FENCE_COLUMN
from pgsnow.model.plan import TablePlan
from pgsnow.snowflake.load.merge import Steps, number_in, stage_rows
from pgsnow.snowflake.schema.target_table import describe
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.sql import replace as whole_sql
from pgsnow.snowflake.sql import statements as sql
from pgsnow.snowflake.stage.stage import INTERNAL, Stage


@dataclass(frozen=True, slots=True)
class Content:
    """All that one run has read of a table. batch: the one whose staging table holds it."""

    plan: TablePlan
    batch: str
    fence: int
    run_id: str

    @property
    def hashed(self) -> bool:
        """True if its rows are told apart by a digest."""
        return self.plan.config.mode is TableMode.APPEND

    @property
    def audited(self) -> tuple[sql.Filled, ...]:
        return sql.audit(self.run_id) if self.plan.config.audit_columns else ()


def begin(session: Session, content: Content) -> None:
    """The staging table, empty. Idempotent."""
    plan = content.plan
    session.execute(sql.create_staging(plan.target, content.batch, plan.output, hashed=content.hashed))


def gather(
    session: Session,
    content: Content,
    unit: LoadBatch,
    *,
    method: str,
    again: bool,
    notify: Callable[[str], None],
    staging: Stage = INTERNAL,
) -> LoadResult:
    """Add the rows of one unit, and prove that they are there; the first unit begins the content.

    again: it was tried before, and may have come through, in part or as a whole; that is taken away first.
    Raises LoadMismatch.
    """
    step, target = Steps(session, notify, staging), content.plan.target
    if unit.batch == content.batch:
        begin(session, content)
    elif again:
        session.execute(whole_sql.forget_rows(target, content.batch, unit.first_row))
    stage_rows(step, target, unit, content.batch, method=method, force=again)
    return LoadResult(query_ids=tuple(step.query_ids), seconds=step.seconds)


def replace(session: Session, content: Content, rows: int, notify: Callable[[str], None]) -> LoadResult:
    """The target holds these rows and no others, from one moment to the next. Idempotent.

    Columns that are not pgsnow's keep their default, or are NULL. Raises LoadMismatch if a later run's rows are there;
    then they still are.
    """
    plan, step = content.plan, Steps(session, notify)
    with step.timed("replace", "replaced"):
        result = step.run(
            whole_sql.overwrite(
                plan.target,
                content.batch,
                plan.output,
                plan.target_key,
                filled(content),
                columns_of_others(session, plan),
                content.fence,
            )
        )
    inserted = number_in(result, "number of rows inserted")
    if inserted != rows and not plan.target_key:
        raise LoadMismatch(f"{plan.target}: {rows} rows were staged, and {inserted} are in the table")
    return LoadResult(inserted=inserted, query_ids=tuple(step.query_ids), seconds=step.seconds)


def columns_of_others(session: Session, plan: TablePlan) -> list[str]:
    """Columns of the target that are not pgsnow's, and that nothing but a row's writer fills."""
    known = {f.target for f in plan.output} | {column.name for column in plan.metadata_columns}
    return [
        column.name
        for column in describe(session, plan.target) or []
        if column.name not in known and not column.computed and not column.has_default
    ]


def append(session: Session, content: Content, notify: Callable[[str], None]) -> LoadResult:
    """Rows that the target does not have are added; nothing else is changed. Idempotent."""
    plan, step = content.plan, Steps(session, notify)
    with step.timed("merge", "merged"):
        result = step.run(whole_sql.append(plan.target, content.batch, plan.output, filled(content)))
    return LoadResult(
        inserted=number_in(result, "number of rows inserted"),
        query_ids=tuple(step.query_ids),
        seconds=step.seconds,
    )


def filled(content: Content) -> Sequence[sql.Filled]:
    """pgsnow's own columns of the target, and what a whole content fills them with."""
    identity = whole_sql.identity() if content.hashed else ()
    return ((FENCE_COLUMN, str(content.fence)), *content.audited, *identity)
