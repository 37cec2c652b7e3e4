"""Audit of the watermark (I6): finds rows that the reads of the trail missed, or may have missed.

A read misses a row that the read before it could not see and whose watermark is below that one's mark. So each row is
compared with the newest mark that may not have seen its transaction (xid >= `since`):

- If the mark cannot have seen it (xid >= `xmax`, or in `running`), the transaction was open after the horizon was
  taken, or had not begun. now(), statement_timestamp() and clock_timestamp() are not below `low` then. So the
  application set the watermark (or a clock went back): the row is late, and the watermark is not trusted any longer.
- Otherwise the transaction had ended by then, or is a savepoint of an open one, which nothing lists. The row was read,
  or missed: it is read again.

With honest clocks the second kind needs a transaction that began more than `max_skew` before all that are open, wrote
after one of them, and ended before it; so there are few. Only on a server that has given out more than 2^32 xids may
a row that was frozen long ago look new. docs/decisions/29-what-a-watermark-may-miss.md has the whole argument.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.sql import SQL, Composable, Composed, Literal

from pgsnow.model.checkpoint import MAX_TRAIL, Checkpoint, Horizon, Mark, ReadMode
from pgsnow.model.plan import TablePlan
from pgsnow.postgres import sql
from pgsnow.postgres.errors import translating
from pgsnow.postgres.incremental.content_hash import content_hash
from pgsnow.postgres.incremental.strategy import reason_to_read_all
from pgsnow.postgres.incremental.window import EPOCH, UNBOUNDED, lower_bound

MAX_AGAIN = 1000
"""How many transactions' rows are read again one by one; with more, all rows since the audit before are."""


@dataclass(frozen=True, slots=True)
class AuditResult:
    """late_rows: number of rows that a read missed. doubtful_rows: number of rows that may have been missed, written by
    the transactions `again`. x: xmin of the snapshot they were counted in. at: when (timestamptz text)."""

    late_rows: int
    x: int
    at: str
    doubtful_rows: int = 0
    again: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Suspect:
    """Rows of one transaction whose watermarks are below the bounds of the same marks: `below`, indexes from 0."""

    xid: int
    below: frozenset[int]
    rows: int


def audit(conn: psycopg.Connection[Any], plan: TablePlan, checkpoint: Checkpoint) -> AuditResult:
    """Run the audit: one statement that scans the table. `conn` is in autocommit mode.

    Raises SourceUnavailable, SourceTableMissing, ColumnMissing, SourceAccessDenied."""
    # An unbounded mark says nothing; the bound of the mark before it holds for its xids, too.
    marks = [mark for mark in checkpoint.trail if mark.low != UNBOUNDED]
    suspects: Composable = SQL("select null::bigint, null::int[], 0 where false")
    if marks:
        suspects = _suspects(plan, marks)
    query = SQL(
        "select {}, to_json(statement_timestamp()) #>> '{{}}', s.* from (select) one"
        " left join ({}) s (xid, below, found) on true"
    ).format(sql.TXIDS, suspects)
    with translating(str(plan.source.name)):
        rows = conn.execute(query).fetchall()
    x, _, at, *_ = rows[0]
    found = [Suspect(xid, frozenset(at - 1 for at in below), n) for *_, xid, below, n in rows if n]
    return judge(marks, [suspect for suspect in found if suspect.xid not in checkpoint.reread], x, at)


def judge(marks: Sequence[Mark], suspects: Sequence[Suspect], x: int, at: str) -> AuditResult:
    """The result of an audit whose snapshot has the xmin x, taken at the moment `at`."""
    late = doubtful = 0
    again = set()
    for suspect in suspects:
        surely = _surely_unseen(marks, suspect.xid)
        maybe = bisect_right([mark.first_unseen for mark in marks], suspect.xid) - 1
        if surely in suspect.below:
            late += suspect.rows
        elif any(surely < at <= maybe for at in suspect.below):
            doubtful += suspect.rows
            again.add(suspect.xid)
    return AuditResult(late, x, at, doubtful, frozenset(again))


def _surely_unseen(marks: Sequence[Mark], xid: int) -> int:
    """The index of the newest mark that cannot have seen this transaction; -1: there is none."""
    return max((at for at, mark in enumerate(marks) if xid >= mark.xmax or xid in mark.running), default=-1)


def _suspects(plan: TablePlan, marks: Sequence[Mark]) -> Composed:
    """A query for rows of xid, array of the marks whose bounds are above the watermark (from 1), number of rows.

    width_bucket finds the newest mark that may not have seen a row's transaction: arrays are subscripted from 1, and 0,
    for older rows, gives NULL. https://www.postgresql.org/docs/current/functions-math.html"""
    watermark = SQL("{}.{}").format(sql.table(plan), sql.watermark(plan))
    bounds = SQL("(select array[{}])").format(
        SQL(", ").join(lower_bound(plan, mark.low) or SQL("null") for mark in marks)
    )
    # The highest bound so far: one that is lower than the one before it (a clock went back) does not replace that.
    highest = SQL(
        "(select array_agg(h order by n) from (select n, max(b) over (order by n) as h"
        " from unnest({}) with ordinality u(b, n)) climbed)"
    ).format(bounds)
    return SQL(
        "select {xid}, (select array_agg(n order by n) from unnest({bounds}) with ordinality u(b, n)"
        " where {watermark} < b)::int[], count(*) from {table}"
        " where {watermark} < ({highest})[width_bucket({xid}, {since}::bigint[])] and {where} group by 1, 2"
    ).format(
        xid=_past_xid(plan),
        bounds=bounds,
        watermark=watermark,
        table=sql.table(plan),
        highest=highest,
        since=Literal("{" + ",".join(str(mark.first_unseen) for mark in marks) + "}"),
        where=sql.both([sql.where_given(plan)]),
    )


def _past_xid(plan: TablePlan) -> Composed:
    """The 64-bit xid of a row, counted back from the present."""
    xmax = SQL("(select txid_snapshot_xmax(txid_current_snapshot()))")
    return SQL("({} - mod(mod({}, {}) - {}.xmin::text::bigint + {}, {}))").format(
        xmax, xmax, Literal(EPOCH), sql.table(plan), Literal(EPOCH), Literal(EPOCH)
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
    """The checkpoint after an audit. Without late rows: the same, with a shorter trail, and doubtful rows are read
    again. With late rows: xmin mode from the snapshot of the audit before, so that everything that changed since then
    is read once more."""
    since_last = min(checkpoint.x, checkpoint.audit_x or 0)
    if result.late_rows:
        return checkpoint.evolve(
            mode=ReadMode.XMIN, x=since_last, seen=frozenset(), again=frozenset(), audited_at=result.at
        )
    after = checkpoint.evolve(
        audit_x=result.x, audited_at=result.at, trail=_since(checkpoint.trail, result.x), again=result.again
    )
    if len(result.again) <= MAX_AGAIN:
        return after
    return after.evolve(x=since_last, low=UNBOUNDED, seen=frozenset(), again=frozenset())


def _since(trail: tuple[Mark, ...], x: int) -> tuple[Mark, ...]:
    """The marks that are still needed. For rows that the audit did not see, the newest mark: no mark saw them, and it
    has the highest bound. An integer watermark's marks also tell which value its sequence had at a moment: a few of
    those back to the oldest transaction that may be open."""
    if not trail or trail[-1].value is None:
        return trail[-1:]
    older = [mark for mark in trail if mark.xmax <= x]
    newer = [mark for mark in trail if mark.xmax > x]
    return (*older[-1:], *newer[-(MAX_TRAIL // 4) :])


def audit_if_due(
    conn: psycopg.Connection[Any], plan: TablePlan, checkpoint: Checkpoint | None, horizon: Horizon
) -> tuple[Checkpoint | None, str | None]:
    """The checkpoint to continue from, and a warning for people (None: nothing to report). Raises as `audit` does."""
    if checkpoint is None or not is_due(plan, checkpoint, horizon):
        return checkpoint, None
    if not plan.has_xmin:
        return _audit_of_content(conn, plan, checkpoint)
    result = audit(conn, plan, checkpoint)
    column, finding = plan.watermark_column.name, None
    if result.late_rows:
        one = result.late_rows == 1
        rows, whose = ("1 row has", "its") if one else (f"{result.late_rows} rows have", "their")
        finding = (
            f"{rows} a {column} from before {whose} transaction began, so it cannot"
            f" be trusted; {'it is' if one else 'they are'} read now, and the table is read by transaction id"
            " (xmin) from here on"
        )
    elif result.doubtful_rows:
        rows = "1 row is" if result.doubtful_rows == 1 else f"{result.doubtful_rows} rows are"
        finding = (
            f"{rows} read again: their {column} is older than a read that may not have seen"
            " their transaction (a savepoint, or a transaction that waited before it wrote)"
        )
    return after_audit(checkpoint, result), finding


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
    return checkpoint.evolve(low=UNBOUNDED, audited_at=at), (
        f"audit: every row is read, because rows have changed since the last audit, and role {plan.source.role} may not"
        f" read xmin, which would show which ones ({plan.source.grant_on(['xmin'])})"
    )
