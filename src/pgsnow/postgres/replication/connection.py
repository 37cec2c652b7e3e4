"""Replication connections, and the translation of errors about slots and sessions.

https://www.postgresql.org/docs/current/protocol-replication.html"""

from __future__ import annotations

import contextlib
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgsnow.model.errors import (
    LogSessionUnavailable,
    PgsnowError,
    PublicationMissing,
    SlotBusy,
    SlotLost,
    SourceAccessDenied,
    SourceUnavailable,
)
from pgsnow.postgres.connection import TEXT_SETTINGS, TRANSACTION_TIMEOUT_SINCE, HasConninfo
from pgsnow.postgres.errors import sqlstate_of, translated
from pgsnow.postgres.login_error import login_failed

LOG_READER_NAME = "pgsnow-log"
"""application_name of the sessions that read the log."""
_SETTINGS = {
    **TEXT_SETTINGS,
    "wal_sender_timeout": "0",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
"""The server does not end a session because the client is slow; that a client has vanished, TCP keepalives tell."""
_UNDEFINED, _IN_USE, _TOO_MANY, _DENIED = "42704", "55006", "53300", "42501"
_POOLER = "08P01"
_ROLE = (
    "Reading the log needs the attribute REPLICATION: ALTER ROLE {user} REPLICATION; (Amazon RDS and Aurora: GRANT"
    " rds_replication TO {user};). `pgsnow grants` prints all that the source's role needs."
)


def connect(settings: HasConninfo) -> psycopg.Connection[Any]:
    """A connection in which the log can be read, with settings of its own. The caller closes it.

    Raises LogSessionUnavailable if only other connections are possible, SourceUnavailable, SourceAccessDenied."""
    parameters = {**conninfo_to_dict(settings.conninfo()), "application_name": LOG_READER_NAME}
    conninfo = make_conninfo("", **{**parameters, "replication": "database"})
    try:
        conn = psycopg.connect(conninfo, autocommit=True, prepare_threshold=None)
    except psycopg.Error as error:
        raise _login_failed(error, conninfo) from error
    try:
        conn.execute(_settings(conn.info.server_version).encode())
    except psycopg.Error as error:
        conn.close()
        raise translated(error) from error
    return conn


def _settings(server_version: int) -> str:
    chosen = dict(_SETTINGS)
    if server_version >= TRANSACTION_TIMEOUT_SINCE:
        chosen["transaction_timeout"] = "0"
    return "; ".join(f"set {name} = '{value}'" for name, value in chosen.items())


def _login_failed(error: psycopg.Error, conninfo: str) -> PgsnowError:
    """The error to raise for a replication connection that failed, although ordinary ones may be possible."""
    found = login_failed(error, conninfo)
    if found.code == _DENIED:
        user = sql.Identifier(str(conninfo_to_dict(conninfo).get("user") or "...")).as_string(None)
        return SourceAccessDenied(str(found), advice=_ROLE.format(user=user), code=found.code)
    if found.code in {_TOO_MANY, _POOLER, "0A000", "28000"} or (
        found.code is None and isinstance(found, SourceUnavailable)
    ):
        return LogSessionUnavailable(str(found), code=found.code)
    return found


def slot_failed(conn: psycopg.Connection[Any], slot: str, error: psycopg.Error) -> PgsnowError:
    """The error to raise for a slot that could not be read. conn: any connection that still answers, for the state of
    the slot."""
    code = sqlstate_of(error)
    if code == _DENIED:
        return SourceAccessDenied(_text(error), advice=_ROLE.format(user=_user(conn)), code=code)
    row = None
    with contextlib.suppress(psycopg.Error):
        row = conn.execute(
            sql.SQL(
                "select plugin, database = current_database(), active_pid, wal_status from pg_replication_slots"
                " where slot_name = {}"
            ).format(sql.Literal(slot))
        ).fetchone()
    if code == _UNDEFINED and row is not None:
        return PublicationMissing(_text(error), code=code)
    if code in {_UNDEFINED, "55000"} or (row is not None and (row[0] != "pgoutput" or not row[1])):
        return SlotLost(f"replication slot {slot}: {_text(error)}", code=code)
    if code == _IN_USE:
        pid = row[2] if row is not None else None
        return SlotBusy(f"replication slot {slot}: {_text(error)}", pid=pid, code=code)
    return translated(error)


def _user(conn: psycopg.Connection[Any]) -> str:
    return sql.Identifier(conn.info.user or "...").as_string(None)


def _text(error: psycopg.Error) -> str:
    return error.diag.message_primary or str(error).strip().partition("\n")[0]
