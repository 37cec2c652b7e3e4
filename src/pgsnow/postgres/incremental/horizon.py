"""The horizon: the earliest moment at which a transaction that no snapshot shows yet can have begun.

It is taken once a tick, in autocommit, BEFORE every snapshot that relies on it: a transaction that begins after the
listing begins after `taken_at`, and one that is running is in the listing with its start. Taken after the
snapshot it would miss a transaction that ended in between, and that transaction's rows would be lost.

The transactions that have an xid are listed AFTER the moments: each of them was in the listing before, or began after
`taken_at`. So a row that one of them wrote is at or above `low`, unless its watermark was set in another way; the audit
relies on that. Sessions come first and prepared transactions second: PREPARE TRANSACTION makes a transaction visible in
pg_prepared_xacts before its session forgets it, so one that is being prepared is in at least one of them.

Moments are text here and are compared in Postgres only.
https://www.postgresql.org/docs/current/monitoring-stats.html,
https://www.postgresql.org/docs/current/view-pg-locks.html
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.sql import SQL, Literal

from pgsnow.model.checkpoint import Horizon, Position, ServerIdentity, VirtualXids
from pgsnow.postgres import sql
from pgsnow.postgres.connection import READER_NAME
from pgsnow.postgres.errors import translating
from pgsnow.postgres.incremental.window import EPOCH, HALF

# xact_start is now() of a running transaction. query_start matters too: statement_timestamp(), and now() of the second
# transaction of a message with several statements, are the moment that the message arrived.
# A process of a user whose queries we may not see shows '<insufficient privilege>'; one with track_activities off
# shows no start. Without a user (autovacuum) or a database (launchers) it writes no row that pgsnow reads.
_RUNNING = """
select to_json(statement_timestamp()) #>> '{{}}',
       to_json(least(statement_timestamp(), min(least(
           xact_start,
           case when state in ('active', 'fastpath function call') then query_start end)))) #>> '{{}}',
       count(*) filter (where usesysid is not null and datid is not null
                          and (query = '<insufficient privilege>' or state = 'disabled')),
       pg_is_in_recovery(),
       (select oid::bigint from pg_database where datname = current_database()),
       case when pg_is_in_recovery() then '' else extract(epoch from pg_postmaster_start_time())::text end,
       {identity}
from pg_stat_activity
where (datid is null or datid = (select oid from pg_database where datname = current_database()))
  and backend_type is distinct from 'autovacuum worker'
  and backend_type is distinct from 'walsender'
  and application_name is distinct from {reader}
  and pid <> pg_backend_pid()
"""

# A shutdown, and recovery after a crash, end with a checkpoint that is its own redo point; one of a running server
# never is. So until the next one it shows where the log ended when the server was started.
_FULL_IDENTITY = SQL("""{lsn},
       (select system_identifier::text from pg_control_system()),
       case when pg_is_in_recovery() then (select timeline_id from pg_control_checkpoint()) else {timeline} end,
       case when not pg_is_in_recovery() then
            (select (checkpoint_lsn - '0/0'::pg_lsn)::bigint
             from pg_control_checkpoint() where checkpoint_lsn = redo_lsn)
       end""")
_TIMELINE = SQL("('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int")
_IDENTITIES = (
    _FULL_IDENTITY.format(lsn=sql.LSN, timeline=_TIMELINE),
    SQL("{lsn}, '', case when pg_is_in_recovery() then 0 else {timeline} end, null::bigint").format(
        lsn=sql.LSN, timeline=_TIMELINE
    ),
    SQL("null::bigint, '', 0, null::bigint"),
)
"""End of the write-ahead log, system identifier, timeline, and where the server resumed. The later ones do without
functions that a role may lack the right to call, or that a server derived from PostgreSQL may not have."""

_NOT_READABLE = (
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.FeatureNotSupported,
    psycopg.errors.UndefinedFunction,
)

# An expression's subqueries run in the order of the list, its snapshot is taken before them, and so is xmax: a
# transaction that is in neither list has ended before, or gets an xid from xmax on. Every role may see backend_xid.
_OPEN = """
select txid_snapshot_xmax(txid_current_snapshot()),
       array(select backend_xid::text::bigint from pg_stat_activity
             where backend_xid is not null
               and datid = (select oid from pg_database where datname = current_database())),
       array(select transaction::text::bigint from pg_prepared_xacts where database = current_database())
"""

# Every transaction holds a lock on its virtual xid, and everyone may read pg_locks. A virtual xid that was listed
# before keeps its bound; a new one began after the listing before. Its session may still be at the message in
# which an earlier listing saw it, and statement_timestamp() is that message's arrival: it keeps that bound for an
# hour at most (or a session that is always busy would hold the horizon back for ever).
_LISTED = SQL("""
with before as (
    select key, value::timestamptz as bound, split_part(key, '/', 1) as session
    from jsonb_each_text(%(begun)s::jsonb)
), running as (
    select distinct virtualtransaction as key, split_part(virtualtransaction, '/', 1) as session
    from pg_locks
    where virtualtransaction is not null and virtualtransaction not like '-1/%%'
      and pid is distinct from pg_backend_pid()
      and not exists (select from pg_stat_activity a
                      where a.pid = pg_locks.pid and a.application_name = {reader})
), bounded as (
    select r.key, coalesce(
        (select b.bound from before b where b.key = r.key),
        (select least(greatest(min(b.bound), statement_timestamp() - interval '1 hour'), %(taken_at)s::timestamptz)
         from before b where b.session = r.session having count(*) > 0),
        %(taken_at)s::timestamptz) as bound
    from running r
)
select to_json(statement_timestamp()) #>> '{{}}',
       to_json(least(statement_timestamp(), (select min(bound) from bounded))) #>> '{{}}',
       coalesce((select jsonb_object_agg(key, to_json(bound) #>> '{{}}') from bounded), '{{}}'::jsonb)
""").format(reader=Literal(READER_NAME))


def take_horizon(
    conn: psycopg.Connection[Any], listing: VirtualXids | None = None
) -> tuple[Horizon, VirtualXids | None]:
    """The horizon now, and a new listing where pg_stat_activity hides other roles' sessions.

    `conn` is in autocommit mode. `listing`: the last one saved, if any; the one returned is to be saved for the next
    tick (any saved one is a valid base; an older one only makes the horizon lower). On a standby the
    writers cannot be seen: low is '-infinity'. Raises SourceUnavailable.
    """
    if conn.info.transaction_status is not TransactionStatus.IDLE:
        raise RuntimeError(
            "a horizon must be taken outside of a transaction, where each statement sees the present"
        )
    with translating():
        for known in _IDENTITIES:
            with suppress(*(() if known is _IDENTITIES[-1] else _NOT_READABLE)):
                found = _one(conn, SQL(_RUNNING).format(reader=Literal(READER_NAME), identity=known))
                break
        taken_at, low, hidden, standby, database, started, lsn, system, timeline, resumed = found
        identity, position = ServerIdentity(system, timeline), Position(database, started, lsn, taken_at)
        if standby:
            return Horizon(
                identity, taken_at, "-infinity", standby=True, position=position, reads_log=lsn is not None,
                database=conn.info.dbname,
            ), None  # fmt: skip
        seen = None
        if hidden:
            taken_at, low, seen = _list_virtual_xids(conn, listing or VirtualXids())
        xmax, sessions, prepared = _one(conn, _OPEN)
    # The lists have the low 32 bits; the xid is less than 2^31 away from xmax.
    running = tuple(sorted({xmax - HALF + (xid - xmax + HALF) % EPOCH for xid in (*sessions, *prepared)}))
    horizon = Horizon(
        identity, taken_at, low, bool(prepared), position=position, resumed=resumed, reads_log=lsn is not None,
        running=running, next_xid=xmax, database=conn.info.dbname,
    )  # fmt: skip
    return horizon, seen


def _list_virtual_xids(conn: psycopg.Connection[Any], before: VirtualXids) -> tuple[str, str, VirtualXids]:
    values = {"begun": json.dumps(dict(before.begun)), "taken_at": before.taken_at}
    taken_at, low, begun = _one(conn, _LISTED, values)
    return taken_at, low, VirtualXids(taken_at, begun)


def _one(conn: psycopg.Connection[Any], query: Any, values: Any = None) -> tuple[Any, ...]:
    row = conn.execute(query, values).fetchone()
    assert row is not None  # an aggregate always has one row
    return tuple(row)
