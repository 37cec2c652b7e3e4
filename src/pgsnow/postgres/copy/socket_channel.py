"""A COPY spoken on libpq's own socket, past libpq, which would cost a call and a piece of memory for every row.

libpq is idle meanwhile and knows nothing of it: the query is sent, and all of the answer is read, here. It has made the
connection with all that belongs to it, and goes on with it afterwards. Only for connections that are not encrypted.
"""

from __future__ import annotations

import os
import select
import socket
import time

import psycopg
from psycopg import pq

IDLE = 0.1
"""Seconds after which what has come is handed on, be it ever so little."""
FLOWING = 1 << 20
"""Bytes after which a stream is no small answer: then little pieces are let grow before they are fetched."""
LITTLE = 64 * 1024
GROWS = 0.0002


class SocketChannel:
    """Both ends of what is said. The descriptor is a duplicate of libpq's, so that closing it here leaves that open."""

    def __init__(self, pgconn: pq.abc.PGconn) -> None:
        self._socket = socket.socket(fileno=os.dup(pgconn.socket))
        self._socket.setblocking(False)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._seen = 0

    def send(self, statement: bytes) -> None:
        """A simple query. https://www.postgresql.org/docs/current/protocol-message-formats.html"""
        message = b"Q" + (len(statement) + 5).to_bytes(4, "big") + statement + b"\0"
        while message:
            try:
                message = message[self._socket.send(message) :]
            except BlockingIOError:
                select.select([], [self._socket], [])

    def receive(self, memory: memoryview) -> int:
        """See answer.Receive."""
        while True:
            try:
                got = self._socket.recv_into(memory)
            except BlockingIOError:
                if not self._poll.poll(IDLE * 1000):
                    return 0
                continue
            if got == 0:
                raise psycopg.OperationalError("the server closed the connection")
            self._seen += got
            if got < LITTLE and self._seen > FLOWING:
                time.sleep(GROWS)
            return got

    def close(self) -> None:
        self._socket.close()
