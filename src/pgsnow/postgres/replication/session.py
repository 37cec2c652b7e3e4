"""A bounded session that reads the log: from where the slot was confirmed to a noted position, then it is confirmed.

https://www.postgresql.org/docs/current/protocol-logical-replication.html"""

from __future__ import annotations

import contextlib
import select
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import psycopg
from psycopg import pq
from psycopg.errors import error_from_result

from pgsnow.postgres.errors import translated
from pgsnow.postgres.replication import messages as m
from pgsnow.postgres.replication.assemble import LogAssembler
from pgsnow.postgres.replication.connection import (
    LogSource,
    confirmed_position,
    end_copy,
    flush_log,
    send_status,
    slot_failed,
)
from pgsnow.postgres.replication.reading import LogBudget
from pgsnow.postgres.replication.spool import MEMORY, SpoolBudget
from pgsnow.postgres.replication.spooled import SpooledReading
from pgsnow.postgres.silence import PATIENCE, require_server

_QUIET, _QUIET_LONGEST = 0.005, 0.5
"""Seconds without a message after which the server is asked how far it is: at first, and after many times."""
_SILENT_UNTIL_FLUSH = 1
_SILENT_AT_LIMIT = 10
"""Times that the server was asked in vain: until it is told to write its log to disk, and until a read that has reached
its limit ends although nothing came."""
MOST_TRANSACTIONS = 1_000_000
"""Transactions, and subtransactions, after which a read ends: each takes a few bytes of memory."""
_STATUS_EVERY = 10.0
"""Seconds after which the server is told that we are alive."""


class LogSession:
    """One open session; not for several threads at a time. Close it.

    `sql_connection` is an ordinary connection to the same server, used for short queries during calls only.
    check: called about twice a second while a call waits or reads; what it raises ends the call."""

    def __init__(
        self,
        conn: psycopg.Connection[Any],
        sql_connection: psycopg.Connection[Any],
        source: LogSource,
        log: LogAssembler,
        check: Callable[[], None],
    ) -> None:
        self._conn = conn
        self._pgconn = conn.pgconn
        self._sql = sql_connection
        self._source = source
        self._confirmed = log.position
        self._log = log
        log.alive = self._tell_sometimes
        self._check = check
        self._checked = self._sent = self._heard = time.monotonic()

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

        A limit holds at the end of a transaction. Pieces of transactions that are still open do not count, nor does the
        time before the first end: a new session begins with what an open transaction has written since long ago, and
        would otherwise get no further than the one before it. If the server does not go on at all, the read ends too.

        After an error the session can only be closed; nothing of what the call read is kept. Raises SourceUnavailable,
        SlotLost, PublicationMissing, LogSpoolFull, LogMalformed, SpoolUnavailable, SpoolDenied, and what check
        raises."""
        log, limit = self._log, time.monotonic() + budget.seconds
        self._heard = time.monotonic()
        reading, silent, moved = log.new_reading(), 0, False
        try:
            self._send(reply=True)  # a server that has nothing to send says so at once
            while log.position < until:
                if self._take_some(until, budget.size):
                    silent = 0
                elif not self._wait(min(_QUIET * 2**silent, _QUIET_LONGEST)):
                    silent += 1
                    self._ask(silent)
                self._check_sometimes()
                if not moved and log.position > reading.begin:
                    moved, limit = True, time.monotonic() + budget.seconds
                if (moved or silent >= _SILENT_AT_LIMIT) and log.between and self._is_over(budget, limit):
                    return log.finish(log.position, complete=False)
            return log.finish(log.position, complete=True)
        except BaseException as error:
            reading.close()
            failed = self._failed(error)
            if failed is error:
                raise
            raise failed from error

    def confirm(self, position: int) -> None:
        """Let the slot's position move here, so that the server may remove older log. Returns when the server shows it.
        Idempotent. Raises SourceUnavailable."""
        if position <= self._confirmed:
            return
        self._confirmed = position
        try:
            self._send()
            self._source.wait_for(self._sql, position, self._conn.info.backend_pid)
        except (psycopg.Error, OSError):  # the server ended it meanwhile, for example at wal_sender_timeout
            self.close()
            self._source.confirm(self._sql, position)

    def close(self) -> None:
        """End the session, so that another one can read the slot. Idempotent; never raises the driver's errors."""
        self._log.discard()
        with contextlib.suppress(psycopg.Error, OSError):
            if self._pgconn.status == pq.ConnStatus.OK:
                end_copy(self._pgconn)
        with contextlib.suppress(psycopg.Error, OSError):
            self._conn.close()

    def _take_some(self, until: int, most: int) -> bool:
        """Take what has come, for a while; False: nothing has come."""
        before = self._log.reading.messages
        while True:
            size, message = self._log.take_from(self._pgconn.get_copy_data, until, most)
            if size < 0:
                self._raise_end()
            if size == 0:
                return self._log.reading.messages > before
            if message[0] == m.DATA or (message[0] == m.KEEPALIVE and self._moves(message)):
                return True

    def _is_over(self, budget: LogBudget, limit: float) -> bool:
        """A limit of the read is reached."""
        reading = self._log.reading
        many = len(reading.xids) >= MOST_TRANSACTIONS
        return many or time.monotonic() >= limit or reading.size - self._log.pending >= budget.size

    def _failed(self, error: BaseException) -> BaseException:
        """The error to raise in place of a driver's."""
        if isinstance(error, psycopg.Error):
            return slot_failed(self._sql, self._source.slot, error)
        return translated(error) if isinstance(error, OSError) else error

    def _moves(self, keepalive: memoryview) -> bool:
        """Answer the server, if it asks for that; True if its position moved."""
        _, position, _, reply = m.KEEPALIVE_BODY.unpack(keepalive)
        if reply:
            self._send()
        moved = self._log.between and position > self._log.position
        if moved:
            self._log.position = position
        return bool(moved)

    def _ask(self, silent: int) -> None:
        """Nothing has come for a while: ask the server how far it is. It may have written less of its log to disk than
        we were told to read, as a transaction that is open, or one with synchronous_commit = off, is not a reason to do
        so for a while."""
        self._send(reply=True)
        if silent == _SILENT_UNTIL_FLUSH:
            with contextlib.suppress(psycopg.Error):  # a standby, or no privilege: it takes longer then
                self._sql.execute(flush_log(self._sql.info.server_version).encode())

    def _check_sometimes(self) -> None:
        self._tell_sometimes()
        if (now := time.monotonic()) - self._checked > _QUIET_LONGEST:
            self._checked = now
            self._check()

    def _tell_sometimes(self) -> None:
        """Let the server know that we are alive, if it was not told for a while."""
        if time.monotonic() - self._sent > _STATUS_EVERY:
            self._send()

    def _wait(self, seconds: float) -> bool:
        """Wait until something comes; False: nothing did."""
        ready = bool(select.select([self._pgconn.socket], [], [], seconds)[0])
        if not ready and time.monotonic() - self._heard > PATIENCE:
            require_server(self._pgconn)
        if ready or time.monotonic() - self._heard > PATIENCE:
            self._heard = time.monotonic()
        self._pgconn.consume_input()
        return ready

    def _send(self, *, reply: bool = False) -> None:
        """Tell the server what is confirmed, and that we are alive."""
        self._sent = time.monotonic()
        send_status(self._pgconn, self._confirmed, reply=reply)

    def _raise_end(self) -> NoReturn:
        """The server has ended the session."""
        while (result := self._pgconn.get_result()) is not None:
            if result.status == pq.ExecStatus.FATAL_ERROR:
                raise error_from_result(result)
        raise psycopg.OperationalError("the server ended the session that reads the log")


def open_session(
    source: LogSource,
    sql_connection: psycopg.Connection[Any],
    *,
    folder: Path,
    spool_limit: int,
    memory: int = MEMORY,
    check: Callable[[], None] = lambda: None,
) -> LogSession:
    """Begin to read the slot. sql_connection: an ordinary connection to the source. folder: for changes beyond
    memory (bytes), of which spool_limit is the most (bytes). check: see LogSession.

    Raises LogSessionUnavailable if only SQL functions can read the slot now; SlotBusy; SlotLost; SourceUnavailable,
    SourceAccessDenied."""
    conn = source.start(sql_connection)
    try:
        begin = confirmed_position(sql_connection, source.slot)
    except psycopg.Error as error:
        conn.close()
        raise slot_failed(sql_connection, source.slot, error) from error
    return LogSession(
        conn, sql_connection, source, LogAssembler(SpoolBudget(folder, spool_limit, memory), begin), check
    )
