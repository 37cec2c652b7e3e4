"""The statements of a tick that finds changes, and of a first load, as text: those of one load unit and its sweep,
for a made-up batch."""

from __future__ import annotations

from pathlib import Path

from pgsnow.model.config.sync_config import TableMode
from pgsnow.model.metadata_columns import FENCE_COLUMN, HASH_COLUMN, ORDER_COLUMN
from pgsnow.snowflake.load.direct_copy import can_go_straight
from pgsnow.snowflake.load.replace import Content, filled
from pgsnow.snowflake.sql import direct_copy as straight_sql
from pgsnow.snowflake.sql import replace as whole_sql
from pgsnow.snowflake.sql import statements as sql
from pgsnow.snowflake.stage.stage import INTERNAL, Stage


def foresee_load(content: Content, part: Path, method: str, staging: Stage = INTERNAL) -> tuple[str, ...]:
    """In order: staging made, filled (from one part file; with method "insert" by bound values), put in place, swept.

    A tick without changes sends none. Columns of the target that nobody told us of are left out.
    """
    plan, batch = content.plan, content.batch
    return (
        sql.create_staging(plan.target, batch, plan.output, hashed=content.hashed),
        *_fill(content, part, method, staging),
        *_put_in_place(content),
        sql.drop_staging(plan.target, batch),
        staging.tell_remove(plan.target, batch),
    )


def foresee_first_load(content: Content, part: Path, staging: Stage = INTERNAL) -> tuple[str, ...]:
    """In order, of a first load by files that goes straight into the empty target: a look at that, one load unit, a
    look for keys that are there twice, the sweep. Nothing where units are merged."""
    plan, batch = content.plan, content.batch
    origin = staging.origin(plan.target, batch)
    if origin is None or not can_go_straight(plan):
        return ()
    fenced = ((FENCE_COLUMN, str(content.fence)), *content.audited)
    return (
        straight_sql.any_row(plan.target, not_after=None),
        staging.tell_put(plan.target, batch, part),
        straight_sql.copy_into_target(plan.target, plan.output, fenced, origin),
        straight_sql.any_twice(plan.target, plan.key),
        staging.tell_remove(plan.target, batch),
    )


def _fill(content: Content, part: Path, method: str, staging: Stage) -> tuple[str, ...]:
    plan, batch = content.plan, content.batch
    if method != "insert":
        put = staging.tell_put(plan.target, batch, part)
        return put, str(staging.copy(plan.target, batch, batch))
    hashed = [HASH_COLUMN] if content.hashed else []
    columns = [*(field.target for field in plan.output), *hashed, ORDER_COLUMN]
    return (sql.insert_into_staging(plan.target, batch, columns),)


def _put_in_place(content: Content) -> tuple[str, ...]:
    plan, batch, fence = content.plan, content.batch, content.fence
    if plan.config.mode is TableMode.APPEND:
        return (whole_sql.append(plan.target, batch, plan.output, filled(content)),)
    if plan.config.mode is TableMode.FULL:
        look = sql.describe_table(plan.target)
        put = whole_sql.overwrite(
            plan.target, batch, plan.output, plan.target_key, filled(content), (), fence
        )
        return look, sql.create_stage(plan.target), look, put
    return (sql.merge(plan.target, batch, plan.output, plan.key, fence, content.audited),)
