"""The probe of a table: are there rows to read? Does not import Arrow, which an idle tick does not need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.sql import SQL, Composable

from pgsnow.model.checkpoint import Checkpoint, Horizon, ReadMode
from pgsnow.model.plan import TablePlan
from pgsnow.postgres import sql
from pgsnow.postgres.errors import translating
from pgsnow.postgres.incremental.content_hash import content_hash
from pgsnow.postgres.incremental.keyset import beyond
from pgsnow.postgres.incremental.next_checkpoint import ReadPoint, next_checkpoint
from pgsnow.postgres.incremental.strategy import CONTENT_CHANGED, choose_strategy

_XMAX = SQL("(select txid_snapshot_xmax(txid_current_snapshot()))")
"""A subquery without outer references is evaluated once a statement, not once a row."""


@dataclass(frozen=True, slots=True)
class Probe:
    """The result of one probe. busy: there are rows to read. full_read: why everything must be read, or None.
    kept_until: as in ReadStrategy."""

    point: ReadPoint
    busy: bool
    full_read: str | None
    kept_until: str | None = None


def probe(
    conn: psycopg.Connection[Any], plan: TablePlan, checkpoint: Checkpoint | None, horizon: Horizon
) -> Probe:
    """Whether a read would find rows. One statement in one snapshot (and two small ones before it for an integer
    watermark).

    `conn` is in autocommit mode; `horizon` was taken before. Where the watermark has an index, nothing else is read.
    Raises SourceUnavailable, SourceTableMissing, ColumnMissing, SourceAccessDenied.
    """
    with translating(str(plan.source.name)):
        strategy = choose_strategy(
            lambda query: conn.execute(sql.text_of(query).encode()).fetchall(), plan, checkpoint, horizon
        )
        condition: Composable = SQL("true")
        if checkpoint is not None and strategy.mode is ReadMode.CURSOR:
            condition = beyond(plan, checkpoint.cursor)
        elif strategy.window is not None:
            condition = strategy.window.condition(_XMAX)
        any_row = SQL("exists (select from {} where {})").format(sql.table(plan), condition)
        end = sql.LSN if horizon.reads_log else sql.NO_LSN
        query = SQL("select {}, pg_is_in_recovery(), {}, {}").format(
            sql.TXIDS, end, content_hash(plan) if plan.whole else any_row
        )
        ((x, xmax, standby, lsn, found),) = conn.execute(query).fetchall()
    reason = strategy.full_read_at(checkpoint, x, xmax)
    point = strategy.read_point(x, xmax, standby=standby, lsn=lsn)
    if not plan.whole:
        busy = found or reason is not None
        return Probe(point, busy, full_read=reason, kept_until=strategy.kept_until)
    if reason is None and checkpoint is not None and checkpoint.content_hash != found:
        reason = CONTENT_CHANGED
    return Probe(point, busy=reason is not None, full_read=reason)


def idle_checkpoint(
    found: Probe, plan: TablePlan, checkpoint: Checkpoint | None, horizon: Horizon
) -> Checkpoint:
    """The checkpoint after a probe that found nothing: the same as after a read without rows. Sends no statement.

    Raises ValueError if there are rows to read."""
    if found.busy or checkpoint is None:
        raise ValueError(f"{plan.config.name} has rows to read")
    return next_checkpoint(
        checkpoint,
        horizon,
        found.point,
        seen=checkpoint.seen,
        cursor=checkpoint.cursor,
        content_hash=checkpoint.content_hash,
    )
