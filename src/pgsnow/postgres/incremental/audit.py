"""Audit of the watermark (I6): counts rows that the reads of the trail cannot have seen.

A row whose xid is at least some past read's xmax was written by a transaction that began after that read's horizon.
If its watermark is below that read's bound all the same, the application set it (or a clock went back), and later
reads may have passed it by. now(), statement_timestamp() and clock_timestamp() never do that, so there is no false
alarm from them; only on a server that has given out more than 2^32 xids may a row that was frozen long ago look new.
The trail is thinned, so a row that is late by less than the distance of two marks may go unnoticed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.sql import SQL, Composable, Composed, Literal

from pgsnow.model.checkpoint import Checkpoint, Horizon, Mark, ReadMode
from pgsnow.model.plan import TablePlan
from pgsnow.postgres import sql
from pgsnow.postgres.errors import translating
from pgsnow.postgres.incremental.content_hash import content_hash
from pgsnow.postgres.incremental.strategy import reason_to_read_all
from pgsnow.postgres.incremental.window import EPOCH, UNBOUNDED, lower_bound


@dataclass(frozen=True, slots=True)
class AuditResult:
    """late_rows: number of rows found. x: xmin of the snapshot they were counted in. at: when (timestamptz text)."""

    late_rows: int
    x: int
    at: str


def audit(conn: psycopg.Connection[Any], plan: TablePlan, checkpoint: Checkpoint) -> AuditResult:
    """Run the audit: one statement that scans the table. `conn` is in autocommit mode.

    Raises SourceUnavailable, SourceTableMissing, ColumnMissing, SourceAccessDenied."""
    # An unbounded mark says nothing; the bound of the mark before it holds for its xids, too.
    marks = [mark for mark in checkpoint.trail if mark.low != UNBOUNDED]
    late: Composable = SQL("0")
    if marks:
        late = SQL("(select count(*) from {} where {})").format(
            sql.table(plan), sql.both([_is_late(plan, marks), sql.where_given(plan)])
        )
    query = SQL("select {}, {}, to_json(statement_timestamp()) #>> '{{}}'").format(late, sql.TXIDS)
    with translating(str(plan.source.name)):
        ((found, x, _, at),) = conn.execute(query).fetchall()
    return AuditResult(found, x, at)


def _is_late(plan: TablePlan, marks: list[Mark]) -> Composed:
    """A condition: the row's watermark is below the bound of the newest mark that its xid is not below.
    width_bucket finds that mark: arrays are subscripted from 1, and 0, for older rows, gives NULL.
    https://www.postgresql.org/docs/current/functions-math.html"""
    bounds = SQL(", ").join(lower_bound(plan, mark.low) or SQL("null") for mark in marks)
    since = Literal("{" + ",".join(str(mark.xmax) for mark in marks) + "}")
    return SQL("{} < (select array[{}])[width_bucket({}, {}::bigint[])]").format(
        sql.watermark(plan), bounds, _past_xid(), since
    )


def _past_xid() -> Composed:
    """The 64-bit xid of a row, counted back from the present."""
    xmax = SQL("(select txid_snapshot_xmax(txid_current_snapshot()))")
    return SQL("({} - mod(mod({}, {}) - xmin::text::bigint + {}, {}))").format(
        xmax, xmax, Literal(EPOCH), Literal(EPOCH), Literal(EPOCH)
    )


def is_due(plan: TablePlan, checkpoint: Checkpoint, horizon: Horizon) -> bool:
    """True if an audit is due. Only in watermark mode: xmin mode does not use watermarks. The moments only decide
    when to audit, so comparing them in Python is exact enough."""
    if plan.watermark is None or plan.config.audit_every <= 0 or checkpoint.mode is not ReadMode.WATERMARK:
        return False
    if reason_to_read_all(plan, checkpoint, horizon) is not None:
        return False
    if checkpoint.audited_at is None:
        return True
    passed = datetime.fromisoformat(horizon.taken_at) - datetime.fromisoformat(checkpoint.audited_at)
    return passed.total_seconds() >= plan.config.audit_every


def after_audit(checkpoint: Checkpoint, result: AuditResult) -> Checkpoint:
    """The checkpoint after an audit. Without late rows: the same, with a shorter trail. With late rows: xmin mode from
    the snapshot of the audit before, so that everything that changed since then is read once more."""
    if result.late_rows == 0:
        return checkpoint.evolve(
            audit_x=result.x, audited_at=result.at, trail=_since(checkpoint.trail, result.x)
        )
    return checkpoint.evolve(
        mode=ReadMode.XMIN,
        x=min(checkpoint.x, checkpoint.audit_x or 0),
        seen=frozenset(),
        audited_at=result.at,
    )


def _since(trail: tuple[Mark, ...], x: int) -> tuple[Mark, ...]:
    """The marks that are still needed for rows that the audit did not see: those have xids from x on."""
    older = [mark for mark in trail if mark.xmax <= x]
    return (*older[-1:], *(mark for mark in trail if mark.xmax > x))


def audit_if_due(
    conn: psycopg.Connection[Any], plan: TablePlan, checkpoint: Checkpoint | None, horizon: Horizon
) -> tuple[Checkpoint | None, str | None]:
    """The checkpoint to continue from, and a warning for people (None: nothing to report). Raises as `audit` does."""
    if checkpoint is None or not is_due(plan, checkpoint, horizon):
        return checkpoint, None
    if not plan.has_xmin:
        return _audit_of_content(conn, plan, checkpoint)
    result = audit(conn, plan, checkpoint)
    if result.late_rows == 0:
        return after_audit(checkpoint, result), None
    return after_audit(checkpoint, result), (
        f"{result.late_rows} rows have a {plan.watermark_column.name} from before their transaction began, so it cannot"
        " be trusted; they are read now, and the table is read by transaction id (xmin) from here on"
    )


def _audit_of_content(
    conn: psycopg.Connection[Any], plan: TablePlan, checkpoint: Checkpoint
) -> tuple[Checkpoint, str | None]:
    """The audit for a role that may not read xmin, which alone shows when a row was written: unless nothing has been
    read since the last audit and the content is still the same, every row is read. Returns and raises as
    `audit_if_due`."""
    query = SQL("select {}, to_json(statement_timestamp()) #>> '{{}}'").format(content_hash(plan))
    with translating(str(plan.source.name)):
        ((found, at),) = conn.execute(query).fetchall()
    if found == checkpoint.content_hash:
        return checkpoint.evolve(audited_at=at), None
    return checkpoint.evolve(low=UNBOUNDED, audited_at=at, content_hash=found), (
        f"audit: every row is read, because rows have changed since the last audit, and role {plan.source.role} may not"
        f" read xmin, which would show which ones ({plan.source.grant_on(['xmin'])})"
    )
