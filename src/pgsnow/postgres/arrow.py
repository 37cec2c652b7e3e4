"""Exclusive ADBC connections out of a small cache: connecting reads the whole catalog, so it is not done each time.

https://arrow.apache.org/adbc/current/driver/postgresql.html
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import adbc_driver_manager as adbc
import pyarrow as pa
from adbc_driver_postgresql import StatementOptions, dbapi

from pgsnow.postgres.diagnosis import sqlstate_of_refusal
from pgsnow.postgres.errors import sqlstate_of, translated

MAX_AGE = 600.0
"""Seconds. An old connection knows nothing of types made since it was opened."""
BATCH_BYTES = 4 * 1024 * 1024
"""Size at which the driver hands over a batch; several are in memory at once, so it bounds the memory of a read."""


class ArrowConnection:
    """One ADBC connection in autocommit mode. Not for several threads at once; one stream at a time."""

    def __init__(self, conninfo: str) -> None:
        self._connection: Any = dbapi.connect(conninfo, autocommit=True)
        self.opened = time.monotonic()
        self.spoiled = False
        """Set when the connection must not be used again."""

    def run(self, statement: str) -> None:
        """One statement whose rows nobody wants. Raises the driver's errors."""
        with self._connection.cursor() as cursor:
            cursor.execute(statement)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """One statement and its rows. Raises the driver's errors."""
        with self._connection.cursor() as cursor:
            cursor.execute(statement)
            return [tuple(row) for row in cursor.fetchall()]

    @contextmanager
    def stream(self, statement: str) -> Iterator[tuple[pa.RecordBatchReader, Any]]:
        """The rows of a statement as they come, in batches of about BATCH_BYTES, and a function that cancels it.

        Another statement would end the stream. The reader raises a bare OSError when the server fails.
        """
        with self._connection.cursor() as cursor:
            hint = {StatementOptions.BATCH_SIZE_HINT_BYTES.value: str(BATCH_BYTES)}
            cursor.adbc_statement.set_options(**hint)
            cursor.execute(statement)
            yield cursor.fetch_record_batch(), cursor.adbc_cancel

    def close(self) -> None:
        """Idempotent; never raises the driver's errors."""
        with contextlib.suppress(adbc.Error, OSError):
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
        except (adbc.Error, OSError) as error:
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


def _is_old(connection: ArrowConnection) -> bool:
    return time.monotonic() - connection.opened > MAX_AGE


def _answers(connection: ArrowConnection) -> bool:
    if _is_old(connection):
        return False
    try:
        connection.run("select 1")
    except (adbc.Error, OSError):
        return False
    return True
