"""The channel that reads COPY in this process: past libpq if a self-test passes, else through libpq.

Reading past libpq relies on how psycopg and libpq behave between two queries, which neither of them documents. So it is
used with the versions that it was tested with alone, and only after it has read a known query in the same way as libpq
does. `POSTGRES_COPY=libpq` switches it off.
"""

from __future__ import annotations

import logging
import select
import threading
from dataclasses import dataclass
from enum import Enum
from typing import Any

import psycopg
from psycopg import pq

from pgsnow.model.settings.postgres import CopyMode
from pgsnow.postgres.copy.copy_out import OpenChannel
from pgsnow.postgres.copy.libpq_channel import LibpqChannel
from pgsnow.postgres.copy.openssl import openssl_of
from pgsnow.postgres.copy.self_test import difference
from pgsnow.postgres.copy.socket_channel import SocketChannel
from pgsnow.postgres.copy.tls_channel import TlsChannel

PSYCOPG_VERSION = "3.3"
LIBPQ_VERSION = 18
"""The versions that reading past libpq is tested with; pyproject.toml bounds psycopg accordingly."""
_TRIES = 2
"""Self-tests that may end in an error before libpq is chosen: the first one may just have lost its connection."""


class Channel(Enum):
    """A way to read the server's answer to COPY."""

    SOCKET = "socket"
    TLS = "TLS through libpq's OpenSSL"
    LIBPQ = "libpq"


@dataclass(frozen=True, slots=True)
class ChannelChoice:
    """A channel, and for LIBPQ the reason why it was chosen. `fell_back`: the reason is a failed self-test or
    an untested version, not the setting or the kind of encryption."""

    channel: Channel
    reason: str = ""
    fell_back: bool = False

    def __str__(self) -> str:
        return f"{self.channel.value}: {self.reason}" if self.reason else self.channel.value

    @property
    def open(self) -> OpenChannel:
        """Opens the channel on a connection; LibpqChannel where TLS is not as it was at the self-test."""
        return _OPENERS[self.channel]


_OPENERS: dict[Channel, OpenChannel] = {
    Channel.SOCKET: SocketChannel,
    Channel.TLS: lambda pgconn: TlsChannel.through(pgconn) or LibpqChannel(pgconn),
    Channel.LIBPQ: LibpqChannel,
}


class ChannelChoices:
    """The choices of one process, one for encrypted and one for plain connections. Safe for several threads.

    Each is made at the first connection of its kind, written to the log once, and kept."""

    def __init__(self, mode: CopyMode) -> None:
        self._mode = mode
        self._lock = threading.Lock()
        self._made: dict[bool, ChannelChoice] = {}
        self._failures = {False: 0, True: 0}

    def choose(self, conn: psycopg.Connection[Any], *, encrypted: bool) -> ChannelChoice | None:
        """The channel for this connection, which is idle and in autocommit mode. None: a self-test ended in an error
        on it; close it, and ask again with another one."""
        with self._lock:
            if encrypted in self._made:
                return self._made[encrypted]
            try:
                choice = self._made_for(conn, encrypted)
            except Exception as error:
                self._note_failure(encrypted, error)
                return None
            self._keep(encrypted, choice)
            return choice

    def _made_for(self, conn: psycopg.Connection[Any], encrypted: bool) -> ChannelChoice:
        if self._mode is CopyMode.LIBPQ:
            return ChannelChoice(Channel.LIBPQ, f"POSTGRES_COPY={CopyMode.LIBPQ}")
        fast = ChannelChoice(Channel.TLS if encrypted else Channel.SOCKET)
        if reason := untested_version():
            return ChannelChoice(Channel.LIBPQ, reason, fell_back=True)
        if reason := unexpected(conn.pgconn, encrypted=encrypted):
            return ChannelChoice(Channel.LIBPQ, reason)
        if reason := difference(conn, fast.open):
            return ChannelChoice(Channel.LIBPQ, f"self-test failed: {reason}", fell_back=True)
        return fast

    def _note_failure(self, encrypted: bool, error: Exception) -> None:
        self._failures[encrypted] += 1
        if self._failures[encrypted] >= _TRIES:
            reason = f"self-test failed: {type(error).__name__}"
            self._keep(encrypted, ChannelChoice(Channel.LIBPQ, reason, fell_back=True))

    def _keep(self, encrypted: bool, choice: ChannelChoice) -> None:
        self._made[encrypted] = choice
        level = logging.WARNING if choice.fell_back else logging.INFO
        kind = "encrypted" if encrypted else "plain"
        logging.getLogger("pgsnow").log(level, "COPY is read on %s connections by: %s", kind, choice)


def untested_version() -> str | None:
    """The installed psycopg or libpq that reading past libpq was not tested with; None: both are tested."""
    libpq = pq.version()
    if psycopg.__version__.split(".")[:2] != PSYCOPG_VERSION.split("."):
        return f"psycopg {psycopg.__version__} instead of {PSYCOPG_VERSION}"
    if libpq // 10_000 != LIBPQ_VERSION:
        return f"libpq {libpq // 10_000}.{libpq % 10_000} instead of {LIBPQ_VERSION}"
    return None


def unexpected(pgconn: pq.abc.PGconn, *, encrypted: bool) -> str | None:
    """Why this connection cannot be read past libpq; None: it can. Sends no statement."""
    if pgconn.transaction_status != pq.TransactionStatus.IDLE:
        return "the connection is not idle"
    return _unexpected_tls(pgconn) if encrypted else _unexpected_socket(pgconn)


def _unexpected_tls(pgconn: pq.abc.PGconn) -> str | None:
    if not pgconn.ssl_in_use:
        return "the connection is encrypted by GSSAPI"
    openssl = openssl_of(pgconn)
    if openssl is None:
        return "the OpenSSL that libpq uses was not found"
    if openssl.session(pgconn) is None:
        return "the connection's SSL object is not one of libpq's OpenSSL"
    return None


def _unexpected_socket(pgconn: pq.abc.PGconn) -> str | None:
    if select.select([pgconn.socket], [], [], 0)[0]:
        return "the socket has unread bytes before anything was asked"
    return None
