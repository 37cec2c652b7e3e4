"""A whole content that is gathered in a table beside its target, by any number of attempts, until all is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pgsnow.model.batch import LoadResult
from pgsnow.model.table import TargetName
from pgsnow.snowflake.load.direct_copy import delete_attempts
from pgsnow.snowflake.load.merge import Steps, number_in
from pgsnow.snowflake.load.replace import Content, columns_of_others, filled
from pgsnow.snowflake.names import staging_table
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.sql import direct_copy as straight_sql


def beside_of(target: TargetName, batch: str) -> TargetName:
    """The table beside the target, which `sweep` of that batch drops."""
    return staging_table(target, batch)


def make_beside(session: Session, content: Content, batch: str) -> None:
    """Idempotent; one that is there stays as it is."""
    plan = content.plan
    session.execute(
        straight_sql.create_beside(beside_of(plan.target, batch), plan.output, plan.metadata_columns)
    )


def put_in_place(
    session: Session, content: Content, batch: str, given_up: Sequence[int], notify: Callable[[str], None]
) -> LoadResult:
    """The target holds the rows beside it and no others, from one moment to the next. Idempotent.

    given_up: the fences of attempts whose rows do not count. Nothing is changed if a later run's rows are in the
    target. Raises TargetMissing.
    """
    plan, step = content.plan, Steps(session, notify)
    beside = beside_of(plan.target, batch)
    delete_attempts(session, beside, given_up)
    with step.timed("replace", "replaced"):
        result = step.run(
            straight_sql.put_in_place(
                plan.target,
                beside,
                plan.output,
                plan.target_key,
                filled(content),
                columns_of_others(session, plan),
                content.fence,
            )
        )
    return LoadResult(
        inserted=number_in(result, "number of rows inserted"),
        query_ids=tuple(step.query_ids),
        seconds=step.seconds,
    )
