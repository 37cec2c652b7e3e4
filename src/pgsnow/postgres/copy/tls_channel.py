"""Channel that reads COPY through the TLS session of libpq's connection, past libpq itself."""

from __future__ import annotations

import ctypes
import select
import time
from typing import Any

import psycopg
from psycopg import pq

from pgsnow.postgres.copy.openssl import WANT_READ, WANT_WRITE, OpenSsl, openssl_of
from pgsnow.postgres.copy.socket_channel import FLOWING, GROW_SECONDS, IDLE, SMALL
from pgsnow.postgres.silence import PATIENCE, require_server


class TlsChannel:
    """Sends and receives with OpenSSL. Reads what OpenSSL may have decrypted already before it waits on the socket."""

    def __init__(self, pgconn: pq.abc.PGconn, openssl: OpenSsl, session: int) -> None:
        self._pgconn = pgconn
        self._openssl = openssl
        self._session = session
        self._clear_error: Any = openssl.functions["ERR_clear_error"]
        self._read: Any = openssl.functions["SSL_read"]
        self._seen = 0
        self._heard = time.monotonic()

    @classmethod
    def through(cls, pgconn: pq.abc.PGconn) -> TlsChannel | None:
        """The channel on this connection; None if its encryption is not TLS by the OpenSSL that libpq is
        linked with."""
        openssl = openssl_of(pgconn) if pgconn.ssl_in_use else None
        session = None if openssl is None else openssl.session(pgconn)
        return None if openssl is None or session is None else cls(pgconn, openssl, session)

    def send(self, statement: bytes) -> None:
        """Send a simple query. Raises psycopg.OperationalError.
        https://www.postgresql.org/docs/current/protocol-message-formats.html"""
        message = b"Q" + (len(statement) + 5).to_bytes(4, "big") + statement + b"\0"
        self._check_open()
        write = self._openssl.functions["SSL_write"]
        while True:
            self._clear_error()
            if (wrote := write(self._session, message, len(message))) > 0:
                return
            self._wait(wrote)

    def receive(self, memory: memoryview) -> int:
        """See CopyChannel.receive. Reads all records that are there and fit; a call of OpenSSL gives one. Raises
        psycopg.OperationalError when the connection ends."""
        self._check_open()
        got, address = 0, ctypes.addressof(ctypes.c_char.from_buffer(memory))
        while got < len(memory):
            self._clear_error()
            count = self._read(self._session, address + got, len(memory) - got)
            if count > 0:
                got += count
            elif got > 0:
                break  # an error, if any, is reported again by the next call
            elif not self._wait(count):
                return 0
        self._seen += got
        if got < SMALL and self._seen > FLOWING:
            time.sleep(GROW_SECONDS)
        return got

    def close(self) -> None:
        """Nothing to release: the session is libpq's."""

    def _check_open(self) -> None:
        """Raises psycopg.OperationalError if the connection was closed, which frees the session."""
        if self._openssl.session(self._pgconn) != self._session:
            raise psycopg.OperationalError("the connection is closed")

    def _wait(self, result: int) -> bool:
        """Wait until OpenSSL can continue; False: it could not for a while. Raises psycopg.OperationalError if the
        connection has ended."""
        wanted = self._openssl.functions["SSL_get_error"](self._session, result)
        self._clear_error()
        if wanted not in (WANT_READ, WANT_WRITE):
            raise psycopg.OperationalError("the server closed the connection")
        poll = select.poll()
        poll.register(self._pgconn.socket, select.POLLIN if wanted == WANT_READ else select.POLLOUT)
        ready = bool(poll.poll(IDLE * 1000))
        self._check_open()
        if not ready and time.monotonic() - self._heard > PATIENCE:
            require_server(self._pgconn)
        elif not ready:
            return False
        self._heard = time.monotonic()
        return ready
