"""Connections to the source: one for catalog queries and probes, others that read rows.

A pooler in transaction mode lends each transaction another server session, which applications use before and after it.
So a setting of ours is never the session's: it is made by SET LOCAL in the transaction that needs it, and a setting
that an application left behind is replaced there.
"""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime as Moment
from typing import Any, Protocol, TypeVar, cast

import psycopg
from psycopg import pq
from psycopg.abc import AdaptContext, Buffer
from psycopg.adapt import AdaptersMap, Loader
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import Row, TupleRow
from psycopg.sql import Composable
from psycopg.types import datetime

from pgsnow.model.settings.postgres import CopyMode
from pgsnow.postgres.copy_connections import CopyConnections
from pgsnow.postgres.login_error import login_failed
from pgsnow.postgres.silence import PATIENCE, require_server

T = TypeVar("T")
APPLICATION_NAME = "pgsnow"
READER_NAME = "pgsnow-read"
"""application_name of our own READ ONLY transactions, and of nothing else: they write nothing, so the horizon
need not wait for them."""
CONNECT_TIMEOUT = 10
"""Seconds."""
_CLIENT = {
    "connect_timeout": CONNECT_TIMEOUT,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""Connection parameters of libpq; those in the settings take precedence. A server that vanished is noticed within about
a minute."""

LOCK_TIMEOUT = "10s"
"""How long a statement waits for a table that another session has locked. Longer would delay the tick's other tables;
the next tick tries again."""

TEXT_SETTINGS = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "xmloption": "content",
}
"""Settings that the text of a value depends on, or the value of a text."""
READ_SETTINGS = {
    "statement_timeout": "0",
    "lock_timeout": LOCK_TIMEOUT,
    **TEXT_SETTINGS,
    "row_security": "off",
    "application_name": READER_NAME,
}
"""Settings of everything that is read from the source. With row_security off, a policy that would hide rows from us is
an error, not a loss: https://www.postgresql.org/docs/current/ddl-rowsecurity.html"""
READ_ONLY = "set transaction isolation level read committed, read only"
"""The isolation level is named because default_transaction_isolation may be another, which a standby may refuse."""
TRANSACTION_TIMEOUT_SINCE = 170_000
AS_THE_ROLE_HAS_IT = ("search_path", "lc_monetary", "quote_all_identifiers")
"""Settings that a condition in `where:`, an amount of money, or the name of a type depends on."""


def local_settings(settings: Mapping[str, str], server_version: int) -> str:
    """SET LOCAL statements, which take no snapshot: these settings, no time limit for the transaction, and those of
    AS_THE_ROLE_HAS_IT, whatever another client of a pooler has set.

    https://www.postgresql.org/docs/current/sql-set.html"""
    limits = ["idle_in_transaction_session_timeout"]
    if server_version >= TRANSACTION_TIMEOUT_SINCE:
        limits.append("transaction_timeout")
    values = {**settings, **dict.fromkeys(limits, "0")}
    chosen = [f"set local {name} = '{value}'" for name, value in values.items()]
    return "; ".join(chosen + [f"set local {name} to default" for name in AS_THE_ROLE_HAS_IT])


class _AsSetLocally(Loader):
    """Base of loaders that know the form of dates from us. psycopg asks what the session has, which is not what the
    transaction had."""

    def __init__(self, oid: int, *_context: AdaptContext | None) -> None:
        super().__init__(oid)


class _MomentLoader(_AsSetLocally, datetime.TimestamptzLoader):
    """Reads the ISO form of a moment with Python's own parser, which takes a tenth of the time. What Python cannot hold
    is left to psycopg, which says so."""

    def load(self, data: Buffer) -> Any:
        try:
            return Moment.fromisoformat(bytes(data).decode())
        except ValueError:
            return super().load(data)


ADAPTERS = AdaptersMap(psycopg.adapters)
"""For connections with local settings: moments come in UTC."""
for _name, _loader in {
    "date": datetime.DateLoader,
    "timestamp": datetime.TimestampLoader,
    "interval": datetime.IntervalLoader,
}.items():
    ADAPTERS.register_loader(_name, type(f"Local{_loader.__name__}", (_AsSetLocally, _loader), {}))
ADAPTERS.register_loader("timestamptz", _MomentLoader)


class PatientConnection(psycopg.Connection[Row]):
    """A connection that waits as long as the server works for it, and not for one that has vanished."""

    patience = PATIENCE
    """Seconds without a byte from the server after which `on_silence` is called, and then again and again."""

    def on_silence(self) -> None:
        """Raises psycopg.OperationalError if the server no longer works on what is waited for."""
        require_server(self.pgconn)

    def wait(self, gen: Generator[Any, Any, T], interval: float = 0.1, timeout: float | None = None) -> T:
        """As psycopg's. Raises psycopg.OperationalError, the connection closed, as `on_silence` does."""
        limit = {} if timeout is None else {"timeout": timeout}
        return super().wait(self._noticing_silence(gen), interval, **limit)

    def _noticing_silence(self, gen: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
        ready, since = None, time.monotonic()
        try:
            while True:
                ready = yield gen.send(ready)
                if not ready and time.monotonic() - since > self.patience:
                    self._ask_or_close()
                if ready or time.monotonic() - since > self.patience:
                    since = time.monotonic()
        except StopIteration as end:
            return cast("T", end.value)

    def _ask_or_close(self) -> None:
        try:
            self.on_silence()
        except psycopg.Error:
            self.pgconn.finish()
            raise


class LocalConnection(PatientConnection[Row]):
    """A connection in autocommit mode whose settings are local to each transaction. They go out in the same message as
    the statement, which is no further round trip. Not for `cursor.stream`, `executemany` and `copy`."""

    local = ""
    """The statements that each transaction begins with: SET TRANSACTION, SET LOCAL."""
    guard: AbstractContextManager[Any] = nullcontext()
    """Entered for each statement and each transaction; a reentrant lock where several threads use the connection."""
    is_replaceable = False
    """A session that the server has ended while nothing was asked may be replaced by a new one."""

    @contextmanager
    def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> Iterator[psycopg.Transaction]:
        """A transaction, or a savepoint in one, for the length of the block. Nothing was read in it yet, so that its
        isolation level can still be set."""
        with self.guard:
            is_first = self.info.transaction_status is pq.TransactionStatus.IDLE
            if is_first and self.is_replaceable and select.select([self.pgconn.socket], [], [], 0)[0]:
                _connect_again(self.pgconn)  # as LocalCursor does
            with super().transaction(savepoint_name, force_rollback) as block:
                if is_first:
                    self.execute(self.local.encode())
                yield block


class LocalCursor(psycopg.ClientCursor[Row]):
    """Sends the connection's local settings and a statement in one message, which is one transaction.

    https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-MULTI-STATEMENT"""

    def execute(self, query: Any, params: Any = None, **options: Any) -> LocalCursor[Row]:
        """Run one statement. An idle session that the server has ended (idle_session_timeout, a restart, an
        administrator) is replaced first, if it may be. Raises psycopg.Error."""
        connection, pgconn = cast("LocalConnection[Row]", self.connection), self._pgconn
        with connection.guard:
            is_idle = pgconn.transaction_status == pq.TransactionStatus.IDLE
            # An idle server says nothing, except that it ends the session.
            if is_idle and connection.is_replaceable and select.select([pgconn.socket], [], [], 0)[0]:
                _connect_again(pgconn)
            if not is_idle:
                super().execute(query, params, **options)
                return self
            if pgconn.parameter_status(b"standard_conforming_strings") == b"off":
                with (
                    connection.transaction()
                ):  # else the statement would be taken apart before the setting holds
                    super().execute(query, params, **options)
                return self
            text = query.as_bytes(self) if isinstance(query, Composable) else query
            text = text if isinstance(text, bytes) else str(text).encode()
            super().execute(f"{connection.local};\n".encode() + text, params, **options)
            return self.set_result(-1)


def _connect_again(pgconn: pq.abc.PGconn) -> None:
    """PQreset, during which other threads run (psycopg's holds the GIL)."""
    pgconn.reset_start()
    while (step := pgconn.reset_poll()) in (pq.PollingStatus.READING, pq.PollingStatus.WRITING):
        waiting: list[int] = [pgconn.socket]
        reading = step == pq.PollingStatus.READING
        ready = select.select(waiting if reading else [], [] if reading else waiting, [], CONNECT_TIMEOUT)
        if not any(ready):
            raise psycopg.OperationalError("the server does not answer")
    if step != pq.PollingStatus.OK:
        raise psycopg.OperationalError(pgconn.get_error_message())
    pgconn.nonblocking = 1  # as psycopg has it


class HasConninfo(Protocol):
    """Settings of a connection; PostgresSettings has them."""

    def conninfo(self) -> str:
        """libpq's connection string, with the password: secret."""


class SourceSettings(HasConninfo, Protocol):
    """Settings that a Source needs; PostgresSettings has them."""

    @property
    def copy(self) -> CopyMode:
        """How rows are read."""


class Source:
    """The source database. Safe for several threads, and after a fork."""

    def __init__(self, settings: SourceSettings) -> None:
        parameters = conninfo_to_dict(settings.conninfo())
        defaults = {name: value for name, value in _CLIENT.items() if name not in parameters}
        fixed = {"application_name": APPLICATION_NAME, "client_encoding": "UTF8"}
        self._conninfo = make_conninfo("", **{**parameters, **defaults, **fixed})
        self._copy_connections = CopyConnections(self._conninfo, settings.copy, PatientConnection)
        self.copy_connection = self._copy_connections.lease
        """A connection that reads rows, for the length of a `with` block; kept for the next block unless that fails.

        Entering it raises SourceUnavailable, SourceAccessDenied."""

    def conninfo(self) -> str:
        """libpq's connection string, with the password: secret."""
        return self._conninfo

    def connect(self, *, read_only: bool = True) -> psycopg.Connection:
        """A new connection: autocommit, read-only, no prepared statements (so that poolers work), everything in UTC.
        A session that ended while it was idle is replaced before the next statement. read_only: False for the
        publication alone, the only thing that is written in the source.

        The caller closes it. Raises SourceUnavailable, SourceAccessDenied.
        """
        try:
            conn = LocalConnection[TupleRow].connect(
                self._conninfo,
                autocommit=True,
                prepare_threshold=None,
                cursor_factory=LocalCursor,
                context=ADAPTERS,
            )
        except psycopg.Error as error:
            raise login_failed(error, self._conninfo) from error
        begin = READ_ONLY if read_only else READ_ONLY.replace("read only", "read write")
        conn.local = f"{begin}; {local_settings(READ_SETTINGS, conn.info.server_version)}"
        conn.guard, conn.is_replaceable = threading.RLock(), True
        return conn

    def close(self) -> None:
        """Close idle connections. The source can be used again afterwards."""
        self._copy_connections.close()
