"""A bounded session that reads the log: from where the slot was confirmed to a noted position, then it is confirmed.

https://www.postgresql.org/docs/current/protocol-logical-replication.html"""

from __future__ import annotations

import contextlib
import select
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
from psycopg import pq, sql
from psycopg.errors import error_from_result

from pgsnow.model.log.lsn import parse_lsn
from pgsnow.postgres.connection import HasConninfo
from pgsnow.postgres.errors import translated
from pgsnow.postgres.replication import messages as m
from pgsnow.postgres.replication.assemble import LogAssembler
from pgsnow.postgres.replication.connection import connect, slot_failed
from pgsnow.postgres.replication.reading import LogBudget
from pgsnow.postgres.replication.spool import SpoolBudget
from pgsnow.postgres.replication.spooled import SpooledReading

STREAMING_SINCE = 140_000
_QUIET = 0.02
"""Seconds without a message after which the server is asked how far it is."""
_QUIET_LONGEST = 0.5
_CONFIRM_SECONDS = 10.0
_END_SECONDS = 5.0


class LogSession:
    """One open session; not for several threads at a time. Close it.

    `sql_connection` is an ordinary connection to the same server, used for short queries during calls only."""

    def __init__(
        self,
        conn: psycopg.Connection[Any],
        sql_connection: psycopg.Connection[Any],
        slot: str,
        budget: SpoolBudget,
        begin: int,
    ) -> None:
        self._conn = conn
        self._pgconn = conn.pgconn
        self._sql = sql_connection
        self._slot = slot
        self._confirmed = begin
        self._log = LogAssembler(budget, begin)

    @property
    def position(self) -> int:
        """Where the next read begins."""
        return self._log.position

    @property
    def open_transactions(self) -> dict[int, int]:
        """Streamed transactions that are still open, by id, and the bytes of their changes that were read. They are
        read again from their beginning if the session is closed."""
        return {xid: streamed.size for xid, streamed in self._log.streamed.items()}

    def read(self, until: int, budget: LogBudget = LogBudget()) -> SpooledReading:
        """Read until every transaction is known that committed at or before `until`, or to a limit of the budget.

        After an error the session can only be closed; nothing of what it read is kept. Raises SourceUnavailable,
        SlotLost, PublicationMissing, LogSpoolFull, LogMalformed, SpoolUnavailable, SpoolDenied."""
        log, deadline = self._log, time.monotonic() + budget.seconds
        reading = log.new_reading()
        if log.position >= until:
            return log.finish(log.position, complete=True)
        try:
            for body in self._bodies():
                if body is not None:
                    log.take(body)
                if not log.between:
                    continue
                if log.position >= until:
                    return log.finish(log.position, complete=True)
                over = reading.size >= budget.size or time.monotonic() >= deadline
                if over and log.position > reading.begin:
                    return log.finish(log.position, complete=False)
        except psycopg.Error as error:
            raise self._failed(error) from error
        except OSError as error:
            raise translated(error) from error
        raise translated(psycopg.OperationalError("the server ended the session that reads the log"))

    def confirm(self, position: int) -> None:
        """Let the slot's position move here, so that the server may remove older log. Waits until the server shows it.
        Idempotent. Raises SourceUnavailable."""
        if position <= self._confirmed:
            return
        try:
            self._confirmed = position
            self._send()
            deadline = time.monotonic() + _CONFIRM_SECONDS
            while confirmed_position(self._sql, self._slot) < position and time.monotonic() < deadline:
                time.sleep(0.005)
        except (psycopg.Error, OSError) as error:
            raise translated(error) from error

    def close(self) -> None:
        """End the session, so that another one can read the slot. Idempotent; never raises the driver's errors."""
        self._log.discard()
        with contextlib.suppress(psycopg.Error, OSError):
            if self._pgconn.status == pq.ConnStatus.OK:
                self._pgconn.put_copy_end()
                self._drain(time.monotonic() + _END_SECONDS)
        with contextlib.suppress(psycopg.Error, OSError):
            self._conn.close()

    def _bodies(self) -> Iterator[memoryview | None]:
        """The messages of pgoutput as they come; None: the position has moved."""
        fetch, quiet = self._pgconn.get_copy_data, _QUIET
        while True:
            size, message = fetch(1)
            if size > 0:
                quiet = _QUIET
                if message[0] == m.DATA:
                    yield message[m.HEAD :]
                elif message[0] == m.KEEPALIVE:
                    _, position, _, reply = m.KEEPALIVE_BODY.unpack(message)
                    if reply:
                        self._send()
                    if self._log.between and position > self._log.position:
                        self._log.position = position
                    yield None
            elif size < 0:
                self._raise_end()
                return
            elif not self._wait(quiet):
                self._send(reply=True)
                quiet = min(2 * quiet, _QUIET_LONGEST)
                yield None

    def _wait(self, seconds: float) -> bool:
        """Wait until something comes; False: nothing did."""
        ready = bool(select.select([self._pgconn.socket], [], [], seconds)[0])
        self._pgconn.consume_input()
        return ready

    def _send(self, *, reply: bool = False) -> None:
        self._pgconn.put_copy_data(m.status_update(self._confirmed, reply=reply))
        while self._pgconn.flush():
            select.select([self._pgconn.socket], [self._pgconn.socket], [], 1.0)
            self._pgconn.consume_input()

    def _raise_end(self) -> None:
        while (result := self._pgconn.get_result()) is not None:
            if result.status == pq.ExecStatus.FATAL_ERROR:
                raise error_from_result(result)

    def _drain(self, deadline: float) -> None:
        """Read what the server still sends, until it has ended the session."""
        while time.monotonic() < deadline:
            size, _ = self._pgconn.get_copy_data(1)
            if size < 0:
                return
            if size == 0:
                self._send_rest()
                self._wait(0.1)

    def _send_rest(self) -> None:
        self._pgconn.flush()

    def _failed(self, error: psycopg.Error) -> Exception:
        return slot_failed(self._sql, self._slot, error)


def open_session(
    settings: HasConninfo,
    sql_connection: psycopg.Connection[Any],
    slot: str,
    publication: str,
    *,
    folder: Path,
    spool_limit: int,
    connect: Callable[[HasConninfo], psycopg.Connection[Any]] = connect,
) -> LogSession:
    """Begin to read the slot. settings: of the source. sql_connection: an ordinary connection to it. folder: for
    changes that do not fit in memory. spool_limit: bytes.

    Raises LogSessionUnavailable if only SQL functions can read the slot now; SlotBusy; SlotLost; SourceUnavailable,
    SourceAccessDenied."""
    conn = connect(settings)
    try:
        _start(conn, slot, publication)
        begin = confirmed_position(sql_connection, slot)
    except psycopg.Error as error:
        failed = slot_failed(sql_connection, slot, error)
        conn.close()
        raise failed from error
    except BaseException:
        conn.close()
        raise
    return LogSession(conn, sql_connection, slot, SpoolBudget(folder, spool_limit), begin)


def _start(conn: psycopg.Connection[Any], slot: str, publication: str) -> None:
    streams = conn.info.server_version >= STREAMING_SINCE
    options = "proto_version '2', streaming 'on'" if streams else "proto_version '1'"
    named = sql.Literal(sql.Identifier(publication).as_string(conn)).as_string(conn)
    command = f"START_REPLICATION SLOT {sql.Identifier(slot).as_string(conn)} LOGICAL 0/0"
    pgconn = conn.pgconn
    pgconn.send_query(f"{command} ({options}, publication_names {named})".encode())
    while pgconn.flush():
        select.select([], [pgconn.socket], [])
    while pgconn.is_busy():
        select.select([pgconn.socket], [], [])
        pgconn.consume_input()
    result = pgconn.get_result()
    if result is None:
        raise psycopg.OperationalError(pgconn.get_error_message())
    if result.status != pq.ExecStatus.COPY_BOTH:
        raise error_from_result(result)


def confirmed_position(conn: psycopg.Connection[Any], slot: str) -> int:
    """The slot's confirmed position. Raises psycopg.Error; UndefinedObject if there is no such slot."""
    query = sql.SQL("select confirmed_flush_lsn::text from pg_replication_slots where slot_name = {}")
    row = conn.execute(query.format(sql.Literal(slot))).fetchone()
    if row is None or row[0] is None:
        raise psycopg.errors.UndefinedObject(f"replication slot {slot} does not exist")
    return parse_lsn(row[0])
