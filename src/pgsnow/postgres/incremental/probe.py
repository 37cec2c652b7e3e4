"""A look at a table: is there anything to read? Free of Arrow, so that a tick that finds nothing never imports it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.sql import SQL, Composable

from pgsnow.model.checkpoint import Checkpoint, Horizon, ReadMode
from pgsnow.model.plan import TablePlan
from pgsnow.postgres import sql
from pgsnow.postgres.errors import translating
from pgsnow.postgres.incremental.content_digest import digest
from pgsnow.postgres.incremental.keyset import beyond
from pgsnow.postgres.incremental.next_checkpoint import Step, advanced
from pgsnow.postgres.incremental.read_mode import CONTENT_CHANGED
from pgsnow.postgres.incremental.sequence import Fetch
from pgsnow.postgres.incremental.strategy import approach

_XMAX = SQL("(select txid_snapshot_xmax(txid_current_snapshot()))")
"""A subquery without outer references is evaluated once a statement, not once a row."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One look. busy: there are rows to read. full_read: why everything must be, or None."""

    step: Step
    busy: bool
    full_read: str | None
    digest: str | None = None
    """Of the content, for tables that are read as a whole."""

    @property
    def x(self) -> int:
        return self.step.x

    @property
    def xmax(self) -> int:
        return self.step.xmax


def probe(
    conn: psycopg.Connection[Any], plan: TablePlan, checkpoint: Checkpoint | None, horizon: Horizon
) -> Probe:
    """Would a read find anything? One statement, one snapshot (and two small ones before it for an integer watermark).

    `conn` is in autocommit mode; `horizon` was taken before. Reads nothing but an index where there is one on the
    watermark. Raises SourceUnavailable, SourceTableMissing, ColumnMissing, SourceAccessDenied.
    """
    with translating("source", str(plan.source.name)):
        way = approach(_fetching(conn), plan, checkpoint, horizon)
        condition: Composable = SQL("true")
        if checkpoint is not None and way.mode is ReadMode.CURSOR:
            condition = beyond(plan, checkpoint.cursor)
        elif way.window is not None:
            condition = way.window.condition(_XMAX)
        looked = digest(plan) if plan.whole else _any(plan, condition)
        query = SQL("select {}, pg_is_in_recovery(), {}").format(sql.TXIDS, looked)
        ((x, xmax, standby, found),) = conn.execute(query).fetchall()
    reason = way.full_read_at(checkpoint, x, xmax)
    step = way.step(x, xmax, standby=standby)
    if not plan.whole:
        return Probe(step, busy=found or reason is not None, full_read=reason)
    if reason is None and checkpoint is not None and checkpoint.content_hash != found:
        reason = CONTENT_CHANGED
    return Probe(step, busy=reason is not None, full_read=reason, digest=found)


def _any(plan: TablePlan, condition: Composable) -> Composable:
    return SQL("exists (select from {} where {})").format(sql.table(plan), condition)


def idle_checkpoint(
    found: Probe, plan: TablePlan, checkpoint: Checkpoint | None, horizon: Horizon
) -> Checkpoint:
    """The checkpoint after a probe that found nothing: as if nothing had been read. Sends no statement."""
    if found.busy or checkpoint is None:
        raise ValueError(f"{plan.config.name} has rows to read")
    return advanced(
        checkpoint,
        horizon,
        found.step,
        seen=checkpoint.seen,
        cursor=checkpoint.cursor,
        digest=checkpoint.content_hash,
    )


def _fetching(conn: psycopg.Connection[Any]) -> Fetch:
    return lambda query: conn.execute(sql.text_of(query).encode()).fetchall()
