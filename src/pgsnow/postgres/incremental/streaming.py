"""Checkpoints of tables whose changes are read from the log (`mode: log`).

The ordinary part of such a checkpoint moves with each read of the log, so that an ordinary read by transaction id can
continue from it when the log cannot: a snapshot is taken first, then the end of the log is noted, and the log is read
to there. No commit that the snapshot shows lies behind that end.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.sql import SQL, Composed, Literal

from pgsnow.model.checkpoint import Checkpoint, Horizon, ReadMode, is_restarted
from pgsnow.model.plan import TablePlan
from pgsnow.postgres import sql
from pgsnow.postgres.errors import translating
from pgsnow.postgres.incremental.next_checkpoint import ReadPoint
from pgsnow.postgres.incremental.probe import Probe
from pgsnow.postgres.incremental.strategy import reason_in_xids, reason_to_read_all
from pgsnow.postgres.incremental.window import EPOCH, HALF


@dataclass(frozen=True, slots=True)
class LogPoint:
    """A snapshot, by its xmin and xmax, and the end of the log (LSN, flushed or not) after it was taken."""

    x: int
    xmax: int
    lsn: int


def take_log_point(conn: psycopg.Connection[Any]) -> LogPoint:
    """The present point. `conn` is in autocommit mode. Raises SourceUnavailable, SourceAccessDenied."""
    with translating("the source's log"):
        ((x, xmax, lsn),) = conn.execute(SQL("select {}, {}").format(sql.TXIDS, sql.LSN)).fetchall()
    return LogPoint(x, xmax, lsn)


def still_invisible(conn: psycopg.Connection[Any], xids: frozenset[int]) -> frozenset[int]:
    """Those of these transaction ids (32 bits) whose transactions have not ended for a new snapshot. A commit is in the
    log before other sessions see its rows: with synchronous replication, long before. An id from the snapshot's xmax
    on has not ended either, and is not in its list. Raises SourceUnavailable."""
    if not xids:
        return xids
    query = SQL(
        "with s as (select txid_current_snapshot() as s) select x from unnest(%s::bigint[]) x, s"
        " where ((x - txid_snapshot_xmax(s)) & 4294967295) < 2147483648"
        " or x in (select i & 4294967295 from txid_snapshot_xip(s) i)"
    )
    with translating("the source's log"):
        return frozenset(x for (x,) in conn.execute(query, [[*xids]]).fetchall())


def running_xids(conn: psycopg.Connection[Any]) -> frozenset[int]:
    """The ids (32 bits) of transactions that have not ended for a new snapshot. Each holds a lock on its own id until
    then; a snapshot does not list those from its xmax on. Raises SourceUnavailable."""
    query = SQL(
        "select transactionid::text::bigint from pg_locks"
        " where locktype = 'transactionid' and mode = 'ExclusiveLock' and granted"
    )
    with translating("the source's log"):
        return frozenset(x for (x,) in conn.execute(query).fetchall())


def stream_probe(plan: TablePlan, checkpoint: Checkpoint, horizon: Horizon, point: LogPoint) -> Probe | None:
    """The probe of a table that the log is read for, without a statement; None: the checkpoint cannot be continued
    from, or the server was restarted, which an ordinary read has to follow."""
    if checkpoint.mode is not ReadMode.XMIN or checkpoint.reset_to is not None:
        return None
    if reason_to_read_all(plan, checkpoint, horizon) or is_restarted(checkpoint, horizon):
        return None
    if reason_in_xids(checkpoint, point.x, point.xmax):
        return None
    at = ReadPoint(
        ReadMode.XMIN,
        point.x,
        point.xmax,
        shape=plan.shape,
        audit_every=plan.config.audit_every,
        lsn=point.lsn,
    )
    return Probe(at, busy=False, full_read=None)


def audit_due(plan: TablePlan, checkpoint: Checkpoint | None, horizon: Horizon) -> bool:
    """True if what the log has delivered must be compared with the table in this run (`log_audit_every`)."""
    every = plan.config.log_audit_every
    if checkpoint is None or checkpoint.log is None or every <= 0:
        return False
    if checkpoint.log.suspects or checkpoint.audited_at is None:
        return True
    passed = datetime.fromisoformat(horizon.taken_at) - datetime.fromisoformat(checkpoint.audited_at)
    return passed.total_seconds() >= every


def written_between(since: int, until: int) -> Composed:
    """A condition: a transaction from `since` on, and below `until`, wrote the row. Xids are compared over half of
    their 32 bits, so of a longer time only the newer half counts."""
    first = max(since, until - HALF)
    return SQL("mod(xmin::text::bigint - {} + {}, {}) < {}").format(
        Literal(first % EPOCH), Literal(EPOCH), Literal(EPOCH), Literal(until - first)
    )
