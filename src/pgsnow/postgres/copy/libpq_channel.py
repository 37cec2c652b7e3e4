"""Channel that reads COPY through libpq's PQgetCopyData, one call per row: always right, at a higher CPU cost."""

from __future__ import annotations

from psycopg import pq

from pgsnow.postgres.copy.copy_out import failure, flush, result_of, wait
from pgsnow.postgres.copy.messages import ENDED, head_of


class LibpqChannel:
    """Rebuilds the messages that libpq has taken apart, so that the decoder is the same for all channels."""

    def __init__(self, pgconn: pq.abc.PGconn) -> None:
        self._pgconn = pgconn
        self._ready = bytearray()
        self._rows = False

    def send(self, statement: bytes) -> None:
        """Send a simple query. Raises psycopg.Error."""
        self._pgconn.send_query(statement)
        flush(self._pgconn)

    def receive(self, memory: memoryview) -> int:
        """See CopyChannel.receive. Raises psycopg.Error as libpq reports it."""
        if not self._rows:
            self._begin()
        while len(self._ready) < len(memory) and self._row():
            pass
        got = bytes(self._ready[: len(memory)])
        memory[: len(got)] = got
        del self._ready[: len(got)]
        return len(got)

    def close(self) -> None:
        """Nothing to release."""

    def _begin(self) -> None:
        result = result_of(self._pgconn)
        if result is None or result.status != pq.ExecStatus.COPY_OUT:
            raise failure(self._pgconn, result)
        self._rows = True

    def _row(self) -> bool:
        """Fetch one more row into `_ready`; False at the end, or if none has come yet while others are ready."""
        size, row = self._pgconn.get_copy_data(1)
        while size == 0:
            if self._ready:
                return False
            wait(self._pgconn)
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
