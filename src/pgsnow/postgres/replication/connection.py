"""Replication connections, and the translation of errors about slots and sessions.

https://www.postgresql.org/docs/current/protocol-replication.html"""

from __future__ import annotations

import contextlib
import select
import time
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import pq, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.errors import error_from_result

from pgsnow.model.errors import (
    LogSessionUnavailable,
    PgsnowError,
    PublicationMissing,
    SlotBusy,
    SlotLost,
    SourceAccessDenied,
    SourceUnavailable,
)
from pgsnow.model.log.lsn import parse_lsn
from pgsnow.postgres.connection import (
    TEXT_SETTINGS,
    TRANSACTION_TIMEOUT_SINCE,
    HasConninfo,
    PatientConnection,
)
from pgsnow.postgres.errors import sqlstate_of, translated
from pgsnow.postgres.login_error import login_failed
from pgsnow.postgres.replication.messages import status_update
from pgsnow.postgres.silence import PATIENCE, require_server

LOG_READER_NAME = "pgsnow-log"
"""application_name of the sessions that read the log."""
_SETTINGS = {
    **TEXT_SETTINGS,
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
"""Settings that the texts of values depend on, and no time limits but wal_sender_timeout."""
STREAMING_SINCE = 140_000
FLUSHED_MESSAGE_SINCE = 170_000
BUSY_SECONDS = 3.0
CONFIRM_SECONDS = 10.0
END_SECONDS = 3.0
_EVERY = 0.005
_UNDEFINED, _IN_USE, _TOO_MANY, _DENIED = "42704", "55006", "53300", "42501"
_POOLER = "08P01"
_LOST = {_UNDEFINED, "55000", "58P01"}
"""SQLSTATEs with which no read of the slot succeeds any more: it is gone, it was invalidated, a file of the log is."""
_INTERNAL = "XX"
"""Class of SQLSTATEs: the server finds itself unable to decode a part of its log. Each read would end there again.
https://www.postgresql.org/docs/current/errcodes-appendix.html"""
_ROLE = (
    "Reading the log needs the attribute REPLICATION: ALTER ROLE {user} REPLICATION; (Amazon RDS and Aurora: GRANT"
    " rds_replication TO {user};). `pgsnow grants` prints all that the source's role needs."
)


@dataclass(frozen=True, slots=True)
class LogSource:
    """Names a slot of a server and the publication that filters it. settings: of an ordinary connection to the server.

    patience: seconds without a sign of life after which the server ends a session. A server that shuts down waits for
    all sessions, hence for a session that nobody uses at most that long."""

    settings: HasConninfo
    slot: str
    publication: str
    patience: int = 60
    streaming: bool = True
    """Large transactions are sent while they are open; servers before 14 cannot do that."""

    def connect(self) -> psycopg.Connection[Any]:
        """A connection in which the log can be read, with settings of its own. The caller closes it.

        Raises LogSessionUnavailable if only other connections are possible, SourceUnavailable, SourceAccessDenied."""
        parameters = {**conninfo_to_dict(self.settings.conninfo()), "application_name": LOG_READER_NAME}
        conninfo = make_conninfo("", **{**parameters, "replication": "database"})
        try:
            conn = PatientConnection.connect(conninfo, autocommit=True, prepare_threshold=None)
        except psycopg.Error as error:
            raise _login_failed(error, conninfo) from error
        try:
            conn.execute(self._set(conn).encode())
        except psycopg.Error as error:
            conn.close()
            raise translated(error) from error
        return conn

    def start(self, sql_connection: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
        """A connection that begins to send the log from where the slot is confirmed. A session that is just ending may
        still have the slot: that is waited for. The caller closes it.

        Raises SlotBusy, SlotLost, and as connect does."""
        conn = self.connect()
        deadline = time.monotonic() + BUSY_SECONDS
        try:
            while True:
                try:
                    copy_both(conn.pgconn, self._start(conn))
                    return conn
                except psycopg.errors.ObjectInUse:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(_EVERY)
        except psycopg.Error as error:
            failed = slot_failed(sql_connection, self.slot, error)
            conn.close()
            raise failed from error

    def confirm(self, sql_connection: psycopg.Connection[Any], position: int) -> None:
        """Confirm in a session of its own, which reads nothing. Raises as `start` does."""
        conn = self.start(sql_connection)
        try:
            send_status(conn.pgconn, position)
            self.wait_for(sql_connection, position, conn.info.backend_pid)
            end_copy(conn.pgconn)
        except (psycopg.Error, OSError) as error:
            raise translated(error) from error
        finally:
            conn.close()

    def wait_for(self, sql_connection: psycopg.Connection[Any], position: int, pid: int) -> None:
        """Wait until the server shows that the slot is confirmed to here. Raises psycopg.Error, also as soon as the
        session of this process on the server has ended."""
        query = sql.SQL(
            "select confirmed_flush_lsn::text, active_pid from pg_replication_slots where slot_name = {}"
        )
        deadline = time.monotonic() + CONFIRM_SECONDS
        while True:
            row = sql_connection.execute(query.format(sql.Literal(self.slot))).fetchone()
            if row is not None and row[0] is not None and parse_lsn(row[0]) >= position:
                return
            if row is None or row[1] != pid or time.monotonic() > deadline:
                raise psycopg.OperationalError(f"replication slot {self.slot} was not confirmed")
            time.sleep(_EVERY)

    def _set(self, conn: psycopg.Connection[Any]) -> str:
        """A database that does not check its texts sends them as they are: as UTF-8, some would end the session."""
        unchecked = conn.info.parameter_status("server_encoding") == "SQL_ASCII"
        encoding = "SQL_ASCII" if unchecked else "UTF8"
        chosen = {**_SETTINGS, "wal_sender_timeout": f"{self.patience}s", "client_encoding": encoding}
        if conn.info.server_version >= TRANSACTION_TIMEOUT_SINCE:
            chosen["transaction_timeout"] = "0"
        return "; ".join(f"set {name} = '{value}'" for name, value in chosen.items())

    def _start(self, conn: psycopg.Connection[Any]) -> str:
        """https://www.postgresql.org/docs/current/protocol-logical-replication.html"""
        streams = self.streaming and conn.info.server_version >= STREAMING_SINCE
        options = "proto_version '2', streaming 'on'" if streams else "proto_version '1'"
        named = sql.Literal(sql.Identifier(self.publication).as_string(conn)).as_string(conn)
        slot = sql.Identifier(self.slot).as_string(conn)
        return f"START_REPLICATION SLOT {slot} LOGICAL 0/0 ({options}, publication_names {named})"


def copy_both(pgconn: pq.abc.PGconn, command: str) -> None:
    """Send a command that begins a stream in both directions. Raises psycopg.Error."""
    pgconn.send_query(command.encode())
    while pgconn.flush():
        select.select([], [pgconn.socket], [])
    result = _result(pgconn)
    if result is None or result.status != pq.ExecStatus.COPY_BOTH:
        while _result(pgconn) is not None:
            pass
        raise error_from_result(result) if result else psycopg.OperationalError(pgconn.get_error_message())


def send_status(pgconn: pq.abc.PGconn, confirmed: int, *, reply: bool = False) -> None:
    """Tell the server what is confirmed. What it sends meanwhile is kept by libpq. Raises psycopg.Error."""
    pgconn.put_copy_data(status_update(confirmed, reply=reply))
    while pgconn.flush():
        select.select([pgconn.socket], [pgconn.socket], [], 1.0)
        pgconn.consume_input()


def end_copy(pgconn: pq.abc.PGconn) -> None:
    """End the stream, pass over what the server still sends before it notices, and wait until it has released the slot.
    Raises psycopg.Error."""
    pgconn.put_copy_end()
    deadline = time.monotonic() + END_SECONDS
    while time.monotonic() < deadline:
        pgconn.flush()
        size, _ = pgconn.get_copy_data(1)
        if size < 0:
            while _result(pgconn, deadline) is not None:
                pass
            return
        if size == 0:
            select.select([pgconn.socket], [], [], 0.1)
            pgconn.consume_input()


def confirmed_position(conn: psycopg.Connection[Any], slot: str) -> int:
    """Where the slot is confirmed. Raises psycopg.Error; UndefinedObject if there is no such slot."""
    query = sql.SQL("select confirmed_flush_lsn::text from pg_replication_slots where slot_name = {}")
    row = conn.execute(query.format(sql.Literal(slot))).fetchone()
    if row is None or row[0] is None:
        raise psycopg.errors.UndefinedObject(f"replication slot {slot} does not exist")
    return parse_lsn(row[0])


def flush_log(server_version: int) -> str:
    """A statement after which all of the log is on the server's disk. It has no effect on data, and may be executed by
    anybody in a transaction that reads only. https://www.postgresql.org/docs/current/functions-admin.html"""
    if server_version >= FLUSHED_MESSAGE_SINCE:
        return "select pg_logical_emit_message(false, 'pgsnow', '', true)"
    return "set local synchronous_commit = local; select pg_logical_emit_message(true, 'pgsnow', '')"


def _result(pgconn: pq.abc.PGconn, deadline: float | None = None) -> pq.abc.PGresult | None:
    """The next result; None: there is none, or it did not come in time."""
    while pgconn.is_busy():
        left = PATIENCE if deadline is None else max(deadline - time.monotonic(), 0)
        if not select.select([pgconn.socket], [], [], left)[0]:
            if deadline is not None:
                return None
            require_server(pgconn)
        pgconn.consume_input()
    return pgconn.get_result()


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
    lost = code in _LOST or (code or "").startswith(_INTERNAL)
    if lost or (row is not None and (row[0] != "pgoutput" or not row[1])):
        return SlotLost(f"replication slot {slot}: {_text(error)}", code=code)
    if code == _IN_USE:
        pid = row[2] if row is not None else None
        return SlotBusy(f"replication slot {slot}: {_text(error)}", pid=pid, code=code)
    return translated(error)


def _user(conn: psycopg.Connection[Any]) -> str:
    return sql.Identifier(conn.info.user or "...").as_string(None)


def _text(error: psycopg.Error) -> str:
    return error.diag.message_primary or str(error).strip().partition("\n")[0]
