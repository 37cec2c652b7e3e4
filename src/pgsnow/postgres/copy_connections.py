"""Connections that read rows with COPY, kept in a small cache so that not each read logs in."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg

from pgsnow.model.settings.postgres import CopyMode
from pgsnow.postgres.login_error import login_failed

if TYPE_CHECKING:
    import pyarrow as pa

    from pgsnow.postgres.copy.choose import ChannelChoice, ChannelChoices

MAX_AGE = 600.0
"""Seconds after which a connection is not used again: the server may have moved since."""
CANCEL_TIMEOUT = 5.0
"""Seconds to wait for the server's answer to a cancel request."""


@dataclass(slots=True)
class Cancellation:
    """Cancels the statement that a connection runs, from another thread. The connection cannot be used again."""

    connection: psycopg.Connection[Any]
    asked: bool = False

    def ask(self) -> None:
        """Ask the server to cancel the statement; at the second call shut the socket down, so that whatever waits for
        a server that cannot be reached ends. Never raises the driver's errors."""
        with contextlib.suppress(psycopg.Error, OSError):
            if not self.asked:
                self.asked = True
                self.connection.cancel_safe(timeout=CANCEL_TIMEOUT)
                return
            with socket.socket(fileno=os.dup(self.connection.fileno())) as duplicate:
                duplicate.shutdown(socket.SHUT_RDWR)


class CopyConnection:
    """One connection in autocommit mode, for one thread and one stream at a time.

    `spoiled`: it must not be used again. `channel`: how it reads COPY, once `prepare` has been called."""

    channel: ChannelChoice

    def __init__(self, conninfo: str, kind: type[psycopg.Connection[Any]] = psycopg.Connection) -> None:
        self._connection = kind.connect(conninfo, autocommit=True, prepare_threshold=None)
        self.server_version = self._connection.info.server_version
        self.opened = time.monotonic()
        self.spoiled = False

    def prepare(self, choices: ChannelChoices) -> bool:
        """Choose the channel; at the first connection of a process that tests it. False: the test failed, and the
        connection must be closed. Raises psycopg.Error."""
        from pgsnow.postgres.copy.copy_out import is_encrypted

        choice = choices.choose(self._connection, encrypted=is_encrypted(self._connection))
        if choice is None:
            return False
        self.channel, self._open_channel = choice, choice.open
        return True

    def run(self, statement: str) -> None:
        """Run a statement and drop its rows. Raises psycopg.Error."""
        self._connection.execute(statement.encode())

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows. Raises psycopg.Error."""
        found = self._connection.execute(statement.encode()).fetchall()
        # psycopg leaves text as bytes where the client's encoding is SQL_ASCII
        return [
            tuple(v.decode("utf-8", "backslashreplace") if isinstance(v, bytes) else v for v in row)
            for row in found
        ]

    @contextmanager
    def stream(
        self, query: str, texts: Collection[int] = ()
    ) -> Iterator[tuple[Iterator[pa.RecordBatch], Callable[[], None]]]:
        """The rows of a SELECT as they come, and a function that cancels it. texts: as in copy_out.rows.

        Until all were fetched nothing else can be done with the connection; if not all were, it is spoiled.
        The iterator raises psycopg.Error."""
        from pgsnow.postgres.copy.copy_out import rows  # imports Arrow, which an idle tick must not

        was_spoiled, self.spoiled = self.spoiled, True
        cancellation = Cancellation(self._connection)
        with closing(rows(self._connection, query, self._open_channel, texts)) as batches:
            yield self._all_of(batches, was_spoiled), cancellation.ask

    def _all_of(self, batches: Iterator[pa.RecordBatch], was_spoiled: bool) -> Iterator[pa.RecordBatch]:
        yield from batches
        self.spoiled = was_spoiled

    def close(self) -> None:
        """Close the connection. Idempotent; never raises the driver's errors."""
        with contextlib.suppress(psycopg.Error, OSError):
            self._connection.close()


class CopyConnections:
    """The idle connections of this process. A forked child leaves its parent's alone and opens its own."""

    def __init__(
        self,
        conninfo: str,
        copy: CopyMode = CopyMode.AUTO,
        kind: type[psycopg.Connection[Any]] = psycopg.Connection,
    ) -> None:
        self._conninfo = conninfo
        self._copy = copy
        self._kind = kind
        self._inherited: list[CopyConnection] = []
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._idle: list[CopyConnection] = []
        self._choices: ChannelChoices | None = None

    @contextmanager
    def lease(self) -> Iterator[CopyConnection]:
        """A connection that answers, for the length of the block. One that failed in the block is closed.

        Raises SourceUnavailable, SourceAccessDenied."""
        connection = self._take()
        try:
            yield connection
        except BaseException:
            connection.spoiled = True
            raise
        finally:
            if connection.spoiled:
                connection.close()
            else:
                with self._lock:
                    self._idle.append(connection)

    def close(self) -> None:
        """Close the idle connections. Those in use are cached when they are given back, for later reads."""
        self._forget_parents()
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _forget_parents(self) -> None:
        if self._pid != os.getpid():
            # Closing them here would end the parent's sessions on the same sockets; they are kept, unused, for ever.
            self._inherited.extend(self._idle)
            self._reset()

    def _take(self) -> CopyConnection:
        self._forget_parents()
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                return self._opened()
            if time.monotonic() - connection.opened <= MAX_AGE:
                with contextlib.suppress(psycopg.Error, OSError):
                    connection.run("")  # no transaction, so no setting of the session can be in its way
                    return connection
            connection.close()

    def _opened(self) -> CopyConnection:
        choices = self._channel_choices()
        try:
            while True:
                connection, ready = CopyConnection(self._conninfo, self._kind), False
                try:
                    if ready := connection.prepare(choices):
                        return connection
                finally:
                    if not ready:
                        connection.close()
        except (psycopg.Error, OSError) as error:
            raise login_failed(error, self._conninfo) from error

    def _channel_choices(self) -> ChannelChoices:
        from pgsnow.postgres.copy.choose import ChannelChoices

        with self._lock:
            if self._choices is None:
                self._choices = ChannelChoices(self._copy)
            return self._choices
