"""A COPY spoken through the TLS of libpq's connection, past libpq itself, as `direct` does without encryption."""

from __future__ import annotations

import ctypes
import select
import time
from typing import Any

import psycopg
from psycopg import pq

from pgsnow.postgres.copy.openssl import WANT_READ, WANT_WRITE, OpenSsl, openssl_of
from pgsnow.postgres.copy.socket_channel import FLOWING, GROWS, IDLE, LITTLE


class TlsChannel:
    """Both ends of what is said. Reads what OpenSSL may have decrypted already before it looks at the socket."""

    def __init__(self, pgconn: pq.abc.PGconn, openssl: OpenSsl, session: int) -> None:
        self._pgconn = pgconn
        self._openssl = openssl
        self._session = session
        self._clear_error: Any = openssl.functions["ERR_clear_error"]
        self._read: Any = openssl.functions["SSL_read"]
        self._seen = 0

    @classmethod
    def through(cls, pgconn: pq.abc.PGconn) -> TlsChannel | None:
        """None where libpq has to do it: another library, another encryption, another kind of driver."""
        openssl = openssl_of(pgconn) if pgconn.ssl_in_use else None
        session = None if openssl is None else openssl.session(pgconn)
        return None if openssl is None or session is None else cls(pgconn, openssl, session)

    def send(self, statement: bytes) -> None:
        """A simple query. https://www.postgresql.org/docs/current/protocol-message-formats.html"""
        message = b"Q" + (len(statement) + 5).to_bytes(4, "big") + statement + b"\0"
        self._check_open()
        write = self._openssl.functions["SSL_write"]
        while True:
            self._clear_error()
            if (wrote := write(self._session, message, len(message))) > 0:
                return
            self._wait(wrote)

    def receive(self, memory: memoryview) -> int:
        """See answer.Receive. A call of OpenSSL gives one record: as many as there are, and as fit."""
        self._check_open()
        got, address = 0, ctypes.addressof(ctypes.c_char.from_buffer(memory))
        while got < len(memory):
            self._clear_error()
            count = self._read(self._session, address + got, len(memory) - got)
            if count > 0:
                got += count
            elif got > 0:
                break  # what was wrong, if anything, is told again
            elif not self._wait(count):
                return 0
        self._seen += got
        if got < LITTLE and self._seen > FLOWING:
            time.sleep(GROWS)
        return got

    def close(self) -> None:
        """There is nothing of its own."""

    def _check_open(self) -> None:
        """A closed connection has freed the session."""
        if self._openssl.session(self._pgconn) != self._session:
            raise psycopg.OperationalError("the connection is closed")

    def _wait(self, result: int) -> bool:
        """Until there is something to go on with; False: there was nothing for a while. Raises OperationalError if
        nothing will come any more."""
        wanted = self._openssl.functions["SSL_get_error"](self._session, result)
        self._clear_error()
        if wanted not in (WANT_READ, WANT_WRITE):
            raise psycopg.OperationalError("the server closed the connection")
        poll = select.poll()
        poll.register(self._pgconn.socket, select.POLLIN if wanted == WANT_READ else select.POLLOUT)
        ready = bool(poll.poll(IDLE * 1000))
        self._check_open()
        return ready
