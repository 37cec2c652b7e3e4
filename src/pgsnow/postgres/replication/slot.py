"""Makes and drops the replication slot, and says which transaction holds back the log.

https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-REPLICATION"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.sql import SQL, Composable, Composed, Literal

from pgsnow.model.duration import approximate_duration
from pgsnow.model.errors import SlotBusy, SlotNotMade, SourceAccessDenied
from pgsnow.model.log.lsn import parse_lsn
from pgsnow.postgres.errors import translating

CREATE_SECONDS = 10.0
"""How long a tick waits for the transactions that are open when it makes a slot."""
DROP_SECONDS = 10.0
_FAILOVER_SINCE, _TWO_PHASE_SINCE = 170_000, 140_000
_OPEN = """
select * from (
    select pid, '' as gid, usename::text as user, application_name as application,
        extract(epoch from clock_timestamp() - xact_start)::float8 as seconds, backend_xid::text as xid,
        age(backend_xid) as age
    from pg_stat_activity where backend_xid is not null and pid <> pg_backend_pid()
    union all
    select 0, gid, owner::text, '', extract(epoch from clock_timestamp() - prepared)::float8, transaction::text,
        age(transaction)
    from pg_prepared_xacts
) open order by age desc limit 1
"""
_END_OURS = """
select pg_terminate_backend(active_pid) from pg_replication_slots join pg_stat_activity on pid = active_pid
where slot_name = %(slot)s and usename = current_user
"""
_ACTIVE = "select active from pg_replication_slots, pg_sleep(0.05) where slot_name = %(slot)s"
_RECEIVED = """
select coalesce(r.restart_lsn, '0/0') - '0/0', pg_current_wal_flush_lsn() - '0/0', w.name
from unnest(%(slots)s::text[]) w(name) left join pg_replication_slots r
    on r.slot_name = w.name and r.slot_type = 'physical' and r.wal_status is distinct from 'lost'
order by 1 limit 1
"""


@dataclass(frozen=True, slots=True)
class StandbyLag:
    """How far the standby is that has received least of the log, by its slot, and how much is on the server's disk."""

    received: int
    flushed: int
    slot: str


@dataclass(frozen=True, slots=True)
class OpenTransaction:
    """The oldest transaction that has written something and has not ended: the log cannot be freed beyond its begin.

    pid: of its session; 0: it is prepared, and has the name gid. seconds: since it began; None: the role may not see
    that. xid: its id, 32 bits, as text.
    """

    pid: int
    gid: str = ""
    user: str | None = None
    application: str | None = None
    seconds: float | None = None
    xid: str = ""

    def __str__(self) -> str:
        who = f"pid {self.pid}" if self.pid else f"prepared transaction {self.gid!r}"
        names = ", ".join(name for name in (self.user, self.application) if name)
        age = f", open for {approximate_duration(self.seconds)}" if self.seconds is not None else ""
        return f"{who}{f' ({names})' if names else ''}{age}"


def oldest_transaction(conn: psycopg.Connection[Any]) -> OpenTransaction | None:
    """The oldest open transaction of the whole server that has an xid; None: there is none. Raises
    SourceUnavailable."""
    with translating():
        row = conn.execute(_OPEN).fetchone()
    return None if row is None else OpenTransaction(*row[:6])


def standby_lag(conn: psycopg.Connection[Any], slots: Collection[str]) -> StandbyLag:
    """The lag of the furthest behind of these slots of standbys; one that is missing has received nothing. Raises
    SourceUnavailable."""
    with translating():
        row = conn.execute(_RECEIVED, {"slots": [*slots]}).fetchone()
    assert row is not None
    return StandbyLag(int(row[0]), int(row[1]), row[2])


def creation(slot: str, server_version: int) -> Composed:
    """The statement that makes the slot: for pgoutput, kept on standbys that synchronize slots (17 and newer)."""
    values: list[Composable] = [Literal(slot), Literal("pgoutput"), SQL("false")]
    values += [SQL("false")] * (server_version >= _TWO_PHASE_SINCE)
    values += [SQL("true")] * (server_version >= _FAILOVER_SINCE)
    return SQL("SELECT lsn FROM pg_create_logical_replication_slot({})").format(SQL(", ").join(values))


def dropping(slot: str) -> Composed:
    """The statement that drops the slot."""
    return SQL("SELECT pg_drop_replication_slot({})").format(Literal(slot))


def create_slot(
    conn: psycopg.Connection[Any], slot: str, *, seconds: float = CREATE_SECONDS, blocker: object = None
) -> int:
    """Make the slot; returns the LSN from which it has every transaction that commits.

    Postgres first waits for every transaction that is open, of any database of the server, for at most `seconds`. Take
    no snapshot for a table before: only what is read after the slot was made can be continued from it. blocker: id of
    the transaction for which an earlier call has waited in vain: as long as it is the oldest one, this call does not
    wait. Raises SlotNotMade, also if there is no free slot; SourceAccessDenied; SourceUnavailable.
    """
    if blocker and (found := oldest_transaction(conn)) is not None and found.xid == blocker:
        raise _blocked(slot, found)
    try:
        with conn.transaction():
            conn.execute(SQL("set local statement_timeout = {}").format(Literal(round(seconds * 1000))))
            row = conn.execute(creation(slot, conn.info.server_version)).fetchone()
        assert row is not None
        return parse_lsn(row[0])
    except psycopg.errors.QueryCanceled:
        pass
    except psycopg.errors.InsufficientPrivilege as error:
        raise SourceAccessDenied(
            f"the role may not make a replication slot: {error.diag.message_primary}",
            advice="Grant it REPLICATION (`pgsnow grants` prints the statement for this and for services), or make the"
            " slot by `pgsnow log setup` as another role.",
            code=error.sqlstate,
        ) from error
    except psycopg.errors.ConfigurationLimitExceeded as error:
        raise SlotNotMade(
            f"the replication slot {slot} cannot be made: {error.diag.message_primary}",
            advice="Raise max_replication_slots, or drop slots that nothing reads (pg_replication_slots shows them).",
            code=error.sqlstate,
        ) from error
    except (psycopg.errors.ObjectNotInPrerequisiteState, psycopg.errors.DuplicateObject) as error:
        raise SlotNotMade(
            f"the replication slot {slot} cannot be made: {error.diag.message_primary}", code=error.sqlstate
        ) from error
    except psycopg.Error:
        with translating():
            raise
    raise _blocked(slot, oldest_transaction(conn))


def _blocked(slot: str, found: OpenTransaction | None) -> SlotNotMade:
    return SlotNotMade(
        f"the replication slot {slot} cannot be made before transactions that are open have ended: the oldest is"
        f" {found or 'not known'}",
        advice=f"End it, or: SELECT pg_terminate_backend({found.pid});" if found and found.pid else "",
        blocker=found.xid if found else "",
    )


def drop_slot(conn: psycopg.Connection[Any], slot: str, *, seconds: float = DROP_SECONDS) -> bool:
    """Drop the slot; False: there is none. For the holder of its claim alone: a session of our own role that still
    reads it is a worker's that has died, and is ended. Raises SlotBusy if another role's session reads it."""
    statement = SQL("set local statement_timeout = {}").format(Literal(round(seconds * 1000)))
    for is_last in (False, True):
        try:
            with conn.transaction():
                conn.execute(statement)
                conn.execute(dropping(slot))
            return True
        except psycopg.errors.UndefinedObject:
            return False
        except psycopg.errors.ObjectInUse as error:
            if is_last or not _end_session(conn, slot):
                raise SlotBusy(
                    f"the replication slot {slot} cannot be dropped: {error.diag.message_primary}",
                    code=error.sqlstate,
                ) from error
        except psycopg.Error:
            with translating():
                raise
    raise AssertionError


def _end_session(conn: psycopg.Connection[Any], slot: str) -> bool:
    """End the session of our own role that reads the slot, and wait for that; False: it is another's."""
    with translating():
        if conn.execute(_END_OURS, {"slot": slot}).fetchone() is None:
            return False
        for _ in range(100):  # 5 s
            row = conn.execute(_ACTIVE, {"slot": slot}).fetchone()
            if row is None or not row[0]:
                break
    return True
