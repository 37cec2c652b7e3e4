"""Reads the log with SQL functions: on any connection, also through a pooler, at a higher cost for the server.

The server decodes a whole transaction before it sends the first change of it, and decodes the log once more when the
slot's position moves. https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-REPLICATION"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from struct import Struct
from typing import Any

import psycopg
from psycopg import sql

from pgsnow.model.errors import LogMalformed
from pgsnow.model.log.lsn import format_lsn, parse_lsn
from pgsnow.postgres.any_bytes import any_bytes
from pgsnow.postgres.replication.assemble import LogAssembler
from pgsnow.postgres.replication.connection import LogSource, confirmed_position, flush_log, slot_failed
from pgsnow.postgres.replication.reading import LogBudget
from pgsnow.postgres.replication.spool import MEMORY, SpoolBudget
from pgsnow.postgres.replication.spooled import SpooledReading

MESSAGE_BYTES = 128
"""Bytes of a message that are assumed to turn a limit of bytes into one of messages."""
MOST_MESSAGES = 1_000_000
_HEADER = Struct(">11sII")
_ROW = Struct(">hi")
_NO_MORE_ROWS = b"\xff\xff"
_CHECK_EVERY = 10_000


class LogPeek:
    """Reads a slot in pages of whole transactions. Each read begins where the slot is confirmed: a page that was not
    confirmed is read again.

    conn: an ordinary connection to the source, with local settings. check: called from time to time during a read; what
    it raises ends the read."""

    def __init__(
        self,
        source: LogSource,
        conn: psycopg.Connection[Any],
        *,
        folder: Path,
        spool_limit: int,
        memory: int = MEMORY,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._source = source
        self._conn = conn
        self._budget = SpoolBudget(folder, spool_limit, memory)
        self._check = check
        self.position = self._confirmed()
        self.open_transactions: dict[int, int] = {}
        """Always empty, as open transactions are not read."""

    def read(self, until: int, budget: LogBudget = LogBudget()) -> SpooledReading:
        """Read whole transactions to `until`, or to the end of the one that reaches the budget's size.

        Raises SourceUnavailable, SlotBusy, SlotLost, PublicationMissing, LogSpoolFull, LogMalformed, SpoolUnavailable,
        SpoolDenied, and what check raises."""
        log = LogAssembler(self._budget, self._confirmed())
        most = min(max(budget.size // MESSAGE_BYTES, 1), MOST_MESSAGES)
        try:
            end = until if budget.reach is None else min(until, budget.reach)
            reached = min(self._flushed(until), end)
            for number, body in enumerate(self._messages(end, most)):
                log.take(memoryview(body))
                if number % _CHECK_EVERY == 0:
                    self._check()
        except psycopg.Error as error:
            raise slot_failed(self._conn, self._source.slot, error) from error
        if log.reading.messages < most:
            return log.finish(max(log.position, reached), complete=reached >= until)
        return log.finish(log.position, complete=log.position >= until)

    def confirm(self, position: int) -> None:
        """Move the slot's position, for which the server reads the log once more. Idempotent. Raises SourceUnavailable,
        SlotBusy, SlotLost."""
        if position <= self.position:
            return
        query = sql.SQL("select pg_replication_slot_advance({}, {})")
        try:
            self._conn.execute(
                query.format(sql.Literal(self._source.slot), sql.Literal(format_lsn(position)))
            )
        except psycopg.Error as error:
            raise slot_failed(self._conn, self._source.slot, error) from error
        self.position = position

    def close(self) -> None:
        """Nothing to release: the connection is the caller's."""

    def _confirmed(self) -> int:
        try:
            self.position = confirmed_position(self._conn, self._source.slot)
        except psycopg.Error as error:
            raise slot_failed(self._conn, self._source.slot, error) from error
        return self.position

    def _flushed(self, until: int) -> int:
        """How far the log is on the server's disk, and can be read; the server is told to write what is missing."""
        query = "select pg_current_wal_flush_lsn()::text"
        flushed = _position(self._conn, query)
        if flushed < until:
            self._conn.execute(flush_log(self._conn.info.server_version).encode())
            flushed = _position(self._conn, query)
        return flushed

    def _messages(self, until: int, most: int) -> Iterator[memoryview]:
        """The messages as COPY sends them, so that they need not fit in memory."""
        query = sql.SQL(
            "copy (select data from pg_logical_slot_peek_binary_changes({}, {}, {}, 'proto_version', '1',"
            " 'publication_names', {})) to stdout (format binary)"
        ).format(
            sql.Literal(self._source.slot),
            sql.Literal(format_lsn(until)),
            sql.Literal(most),
            sql.Literal(sql.Identifier(self._source.publication).as_string(self._conn)),
        )
        with any_bytes(self._conn), self._conn.cursor() as cursor, cursor.copy(query) as copy:
            first = True
            for piece in copy:
                row = memoryview(piece)
                if first:
                    row, first = row[_HEADER.size :], False
                if row and bytes(row[:2]) != _NO_MORE_ROWS:
                    yield _field(row)


def _field(row: memoryview) -> memoryview:
    """The only field of a row. Raises LogMalformed."""
    if len(row) < _ROW.size or _ROW.unpack_from(row) != (1, len(row) - _ROW.size):
        raise LogMalformed(f"a row of {len(row)} bytes of pg_logical_slot_peek_binary_changes makes no sense")
    return row[_ROW.size :]


def _position(conn: psycopg.Connection[Any], query: str) -> int:
    ((text,),) = conn.execute(query.encode()).fetchall()
    return parse_lsn(str(text))
