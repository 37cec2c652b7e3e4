"""A COPY through libpq, a call a row: for connections that it encrypts in a way that `tunnel` does not know."""

from __future__ import annotations

import select

import psycopg
from psycopg import pq
from psycopg.errors import error_from_result

from pgsnow.postgres.copy.messages import ENDED, head_of


class LibpqChannel:
    """The same messages as on a connection that is not encrypted, put together again."""

    def __init__(self, pgconn: pq.abc.PGconn) -> None:
        self._pgconn = pgconn
        self._ready = bytearray()
        self._rows = False

    def send(self, statement: bytes) -> None:
        """A simple query."""
        self._pgconn.send_query(statement)
        sent(self._pgconn)

    def receive(self, memory: memoryview) -> int:
        """See answer.Receive. Raises psycopg.Error as libpq reports it."""
        if not self._rows:
            self._begin()
        while len(self._ready) < len(memory) and self._row():
            pass
        got = bytes(self._ready[: len(memory)])
        memory[: len(got)] = got
        del self._ready[: len(got)]
        return len(got)

    def close(self) -> None:
        """There is nothing of its own."""

    def _begin(self) -> None:
        result = result_of(self._pgconn)
        if result is None or result.status != pq.ExecStatus.COPY_OUT:
            raise failure(self._pgconn, result)
        self._rows = True

    def _row(self) -> bool:
        """Fetches one more; False if none is there yet, but others are, or at the end."""
        size, row = self._pgconn.get_copy_data(1)
        while size == 0:
            if self._ready:
                return False
            _wait(self._pgconn)
            size, row = self._pgconn.get_copy_data(1)
        if size < 0:
            return self._end()
        self._ready += head_of(size)
        self._ready += row
        return True

    def _end(self) -> bool:
        while (result := result_of(self._pgconn)) is not None:
            if result.status == pq.ExecStatus.FATAL_ERROR:
                raise failure(self._pgconn, result)
        self._ready += ENDED
        return False


def sent(pgconn: pq.abc.PGconn) -> None:
    """Waits until all of it is on its way."""
    while pgconn.flush():
        select.select([], [pgconn.socket], [])


def result_of(pgconn: pq.abc.PGconn) -> pq.abc.PGresult | None:
    """The next one; None: there are no more."""
    while pgconn.is_busy():
        _wait(pgconn)
    return pgconn.get_result()


def _wait(pgconn: pq.abc.PGconn) -> None:
    select.select([pgconn.socket], [], [])
    pgconn.consume_input()


def failure(pgconn: pq.abc.PGconn, result: pq.abc.PGresult | None) -> psycopg.Error:
    if result is None:
        return psycopg.OperationalError(pgconn.get_error_message())
    return error_from_result(result)
