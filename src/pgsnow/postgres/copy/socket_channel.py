"""Channel that reads COPY from libpq's own socket, past libpq, which costs a call and an allocation for every row.

libpq has made the connection, is idle meanwhile, and uses it again afterwards: the query is sent here, and the whole
response is read here. Only for connections that are not encrypted.
"""

from __future__ import annotations

import os
import select
import socket
import time

import psycopg
from psycopg import pq

from pgsnow.postgres.silence import PATIENCE, require_server

IDLE = 0.1
"""Seconds of silence after which `receive` returns."""
FLOWING = 1 << 20
"""Bytes after which a response counts as large: then small pieces are left to grow before they are fetched."""
SMALL = 64 * 1024
GROW_SECONDS = 0.0002


class SocketChannel:
    """Sends and receives on a duplicate of libpq's descriptor, so that closing it here leaves libpq's open."""

    def __init__(self, pgconn: pq.abc.PGconn) -> None:
        self._pgconn = pgconn
        self._socket = socket.socket(fileno=os.dup(pgconn.socket))
        self._socket.setblocking(False)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._seen = 0
        self._heard = time.monotonic()

    def send(self, statement: bytes) -> None:
        """Send a simple query. Raises OSError. https://www.postgresql.org/docs/current/protocol-message-formats.html"""
        message = b"Q" + (len(statement) + 5).to_bytes(4, "big") + statement + b"\0"
        while message:
            try:
                message = message[self._socket.send(message) :]
            except BlockingIOError:
                select.select([], [self._socket], [])

    def receive(self, memory: memoryview) -> int:
        """See CopyChannel.receive. Raises psycopg.OperationalError when the server has closed the connection,
        OSError."""
        while True:
            try:
                got = self._socket.recv_into(memory)
            except BlockingIOError:
                if self._poll.poll(IDLE * 1000):
                    continue
                if time.monotonic() - self._heard > PATIENCE:
                    require_server(self._pgconn)
                    self._heard = time.monotonic()
                return 0
            if got == 0:
                raise psycopg.OperationalError("the server closed the connection")
            self._seen += got
            self._heard = time.monotonic()
            if got < SMALL and self._seen > FLOWING:
                time.sleep(GROW_SECONDS)
            return got

    def close(self) -> None:
        """Close the duplicate. Idempotent."""
        self._socket.close()
