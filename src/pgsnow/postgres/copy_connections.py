"""Exclusive connections for rows, out of a small cache: a login is not done each time."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import psycopg

from pgsnow.postgres.errors import sqlstate_of, translated
from pgsnow.postgres.login_error import sqlstate_of_refusal

if TYPE_CHECKING:
    import pyarrow as pa

MAX_AGE = 600.0
"""Seconds. The server may have moved since."""
CANCEL_TIMEOUT = 5.0
"""Seconds to wait for the server's answer to a cancel request."""


class Cancellation:
    """Of what a connection is doing now. The connection cannot be used again."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._asked = False

    def ask(self) -> None:
        """First the server is asked to cancel the statement. If asked again, what waits for the server is told that it
        has hung up: the server cannot be reached, or does not hear. Never raises the driver's errors."""
        with contextlib.suppress(psycopg.Error, OSError):
            if self._asked:
                self._hang_up()
            else:
                self._asked = True
                self._connection.cancel_safe(timeout=CANCEL_TIMEOUT)

    def _hang_up(self) -> None:
        with socket.socket(fileno=os.dup(self._connection.fileno())) as duplicate:
            duplicate.shutdown(socket.SHUT_RDWR)


class ArrowConnection:
    """One connection in autocommit mode. Not for several threads at once; one stream at a time."""

    def __init__(self, conninfo: str) -> None:
        from pgsnow.postgres.copy.copy_out import is_encrypted  # Arrow: an idle tick opens none of these

        self._connection = psycopg.connect(conninfo, autocommit=True, prepare_threshold=None)
        self._encrypted = is_encrypted(self._connection)
        self.opened = time.monotonic()
        self.spoiled = False
        """Set when the connection must not be used again."""

    def run(self, statement: str) -> None:
        """One statement whose rows nobody wants. Raises psycopg.Error."""
        self._connection.execute(statement.encode())

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """One statement and its rows. Raises psycopg.Error."""
        found = self._connection.execute(statement.encode()).fetchall()
        return [tuple(_text(value) for value in row) for row in found]

    @contextmanager
    def stream(self, query: str) -> Iterator[tuple[Iterator[pa.RecordBatch], Callable[[], None]]]:
        """The rows of a SELECT as they come, and a function that cancels it.

        Until all were fetched nothing else can be done with the connection; if not all were, it is spoiled.
        The iterator raises psycopg.Error."""
        from pgsnow.postgres.copy.copy_out import rows  # as above

        was_spoiled, self.spoiled = self.spoiled, True
        cancellation = Cancellation(self._connection)
        with closing(rows(self._connection, query, encrypted=self._encrypted)) as batches:
            yield self._all_of(batches, was_spoiled), cancellation.ask

    def _all_of(self, batches: Iterator[pa.RecordBatch], was_spoiled: bool) -> Iterator[pa.RecordBatch]:
        yield from batches
        self.spoiled = was_spoiled

    def close(self) -> None:
        """Idempotent; never raises the driver's errors."""
        with contextlib.suppress(psycopg.Error, OSError):
            self._connection.close()


class ArrowCache:
    """Idle connections of this process. A forked child leaves its parent's alone and opens its own."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._inherited: list[ArrowConnection] = []
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._idle: list[ArrowConnection] = []

    @contextmanager
    def lease(self) -> Iterator[ArrowConnection]:
        """A connection that answered just now, for this block alone. One that failed in the block is closed."""
        connection = self._take()
        try:
            yield connection
        except BaseException:
            connection.spoiled = True
            raise
        finally:
            self._give_back(connection)

    def close(self) -> None:
        """Close what is idle. What is leased is closed when it is given back too old."""
        self._own()
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _own(self) -> None:
        if self._pid != os.getpid():
            # Closing them here would say goodbye on the parent's sockets; they are kept, unused, for ever.
            self._inherited.extend(self._idle)
            self._reset()

    def _take(self) -> ArrowConnection:
        self._own()
        while (connection := self._pop()) is not None:
            if _answers(connection):
                return connection
            connection.close()
        try:
            return ArrowConnection(self._conninfo)
        except (psycopg.Error, OSError) as error:
            code = sqlstate_of(error) or sqlstate_of_refusal(self._conninfo)
            raise translated(error, "source", sqlstate=code) from error

    def _pop(self) -> ArrowConnection | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _give_back(self, connection: ArrowConnection) -> None:
        if connection.spoiled or _is_old(connection):
            connection.close()
            return
        with self._lock:
            self._idle.append(connection)


def _text(value: Any) -> Any:
    """psycopg leaves text as bytes where the client's encoding is SQL_ASCII."""
    return value.decode() if isinstance(value, bytes) else value


def _is_old(connection: ArrowConnection) -> bool:
    return time.monotonic() - connection.opened > MAX_AGE


def _answers(connection: ArrowConnection) -> bool:
    if _is_old(connection):
        return False
    try:
        connection.run("select 1")
    except (psycopg.Error, OSError):
        return False
    return True
