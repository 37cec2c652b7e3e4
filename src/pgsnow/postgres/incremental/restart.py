"""The first read after the server was restarted. It may have been restored to an older state first.

A restored server gives xids again that were read, so the transaction id window alone would hide new rows. How far back
it went is only known while the checkpoint that its start left is the newest one; else the rows show it: writers after a
restore set newer watermarks than all that were read before it.
"""

from __future__ import annotations

from dataclasses import replace

from psycopg.sql import SQL, Composed, Literal

from pgsnow.model.checkpoint import UNPROVEN, Checkpoint, Horizon, ReadMode, is_unproven
from pgsnow.model.plan import TablePlan
from pgsnow.postgres import sql
from pgsnow.postgres.incremental.sequence import Fetch
from pgsnow.postgres.incremental.window import UNBOUNDED, Window, lower_bound


def after_restart(
    fetch: Fetch, mode: ReadMode, usual: Window, checkpoint: Checkpoint, horizon: Horizon
) -> tuple[Window, str | None, str | None]:
    """The window in place of the usual one, `full_read` and `kept_until` (as in ReadStrategy). Rows as new as the last
    read are read whatever their xid; everything is read if nothing shows that the server still has what was read.

    fetch: asks Postgres for the newest row that was read and is still there. Raises what it raises."""
    plan, unproven = usual.plan, is_unproven(checkpoint, horizon)
    if mode is ReadMode.XMIN or checkpoint.low == UNBOUNDED or checkpoint.last_watermark is None:
        return usual, UNPROVEN if unproven else None, None
    ((kept_until, is_all),) = fetch(_newest_kept(plan, checkpoint.last_watermark))
    if unproven and kept_until is None:
        return usual, UNPROVEN, None
    newest = None if mode is ReadMode.CURSOR else lower_bound(plan, checkpoint.low)
    window = replace(usual, always_from=newest, nulls=unproven)
    return window, None, None if is_all else kept_until


def _newest_kept(plan: TablePlan, last_watermark: str) -> Composed:
    """A query for the newest watermark up to the last one that was read, as text, and whether it is that one. No writer
    after a restore sets such a watermark, so the server still has the transaction that did, and what was committed
    before it."""
    column, last = (
        sql.watermark(plan),
        SQL("{}::{}").format(Literal(last_watermark), SQL(plan.watermark_column.type_name)),
    )
    return SQL("select to_json(max({})) #>> '{{}}', max({}) = {} from {} where {}").format(
        column,
        column,
        last,
        sql.table(plan),
        sql.both([SQL("{} <= {}").format(column, last), sql.where_given(plan)]),
    )
