"""A COPY through libpq, a call a row: for connections that it encrypts."""

from __future__ import annotations

import select

import psycopg
from psycopg import pq
from psycopg.errors import error_from_result

from pgsnow.postgres.copy.answer import ENDED, head_of


class Driven:
    """The same messages as on a connection that is not encrypted, put together again."""

    def __init__(self, pgconn: pq.abc.PGconn) -> None:
        self._pgconn = pgconn
        self._ready = bytearray()
        self._rows = False

    def send(self, statement: bytes) -> None:
        """A simple query."""
        self._pgconn.send_query(statement)
        while self._pgconn.flush():
            select.select([], [self._pgconn.socket], [])

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
        result = self._result()
        if result is None or result.status != pq.ExecStatus.COPY_OUT:
            raise _failure(self._pgconn, result)
        self._rows = True

    def _row(self) -> bool:
        """Fetches one more; False if none is there yet, but others are, or at the end."""
        size, row = self._pgconn.get_copy_data(1)
        while size == 0:
            if self._ready:
                return False
            self._wait()
            size, row = self._pgconn.get_copy_data(1)
        if size < 0:
            return self._end()
        self._ready += head_of(size)
        self._ready += row
        return True

    def _end(self) -> bool:
        while (result := self._result()) is not None:
            if result.status == pq.ExecStatus.FATAL_ERROR:
                raise _failure(self._pgconn, result)
        self._ready += ENDED
        return False

    def _result(self) -> pq.abc.PGresult | None:
        while self._pgconn.is_busy():
            self._wait()
        return self._pgconn.get_result()

    def _wait(self) -> None:
        select.select([self._pgconn.socket], [], [])
        self._pgconn.consume_input()


def _failure(pgconn: pq.abc.PGconn, result: pq.abc.PGresult | None) -> psycopg.Error:
    if result is None:
        return psycopg.OperationalError(pgconn.get_error_message())
    return error_from_result(result)
