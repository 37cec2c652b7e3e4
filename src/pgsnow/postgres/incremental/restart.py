"""The first read after the server was restarted. It may have been restored to an older state first.

A restored server gives xids again that were read, so the transaction id window alone would hide new rows. How far back
it went is only known while the checkpoint that its start left is the newest one; else the rows show it: writers after a
restore set newer watermarks than all that were read before it.
"""

from __future__ import annotations

from dataclasses import replace

from psycopg.sql import SQL, Literal

from pgsnow.model.checkpoint import LOG_WENT_BACK, UNPROVEN, Checkpoint, Horizon, ReadMode, is_unproven
from pgsnow.model.plan import TablePlan
from pgsnow.postgres import sql
from pgsnow.postgres.incremental.sequence import Fetch
from pgsnow.postgres.incremental.strategy import ReadStrategy
from pgsnow.postgres.incremental.window import UNBOUNDED, Window, lower_bound


def after_restart(
    fetch: Fetch, usual: ReadStrategy, window: Window, checkpoint: Checkpoint, horizon: Horizon
) -> ReadStrategy:
    """The strategy in place of `usual`, whose window is `window`: rows as new as the last read are read whatever their
    xid. Everything is read if nothing shows that the server still has what was read.

    fetch: asks Postgres for a row that was read. Raises what it raises."""
    plan, unproven = window.plan, is_unproven(checkpoint, horizon)
    if usual.sequence is not None and usual.sequence.restarted:
        return replace(usual, full_read=LOG_WENT_BACK, window=None)
    by_watermark = usual.mode is not ReadMode.XMIN and checkpoint.low != UNBOUNDED
    if unproven and not (by_watermark and _still_has_what_was_read(fetch, plan, checkpoint)):
        return replace(usual, full_read=UNPROVEN, window=None)
    if not by_watermark or usual.mode is ReadMode.CURSOR:
        return usual
    newest = lower_bound(plan, checkpoint.low)
    return replace(usual, window=replace(window, always_from=newest, nulls=unproven))


def _still_has_what_was_read(fetch: Fetch, plan: TablePlan, checkpoint: Checkpoint) -> bool:
    """True if there is a row with the newest watermark that was read: no writer after a restore sets it again, so the
    server has that row's transaction, and what was committed before it."""
    if checkpoint.last_watermark is None:
        return False
    query = SQL("select exists (select from {} where {} = {}::{})").format(
        sql.table(plan),
        sql.watermark(plan),
        Literal(checkpoint.last_watermark),
        SQL(plan.watermark_column.type_name),
    )
    return bool(fetch(query)[0][0])
