"""The ledger's one connection per process: opened at first use, shared by all threads, opened again when
it breaks.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import dict_row

from pgsnow.ledger.claim import Claim
from pgsnow.ledger.errors import ledger_error
from pgsnow.model.backfill import ChunkId
from pgsnow.postgres.connection import (
    ADAPTERS,
    TEXT_SETTINGS,
    HasConninfo,
    LocalConnection,
    LocalCursor,
    local_settings,
)
from pgsnow.postgres.errors import sqlstate_of
from pgsnow.postgres.login_error import login_advice, sqlstate_of_refusal

T = TypeVar("T")

STRUCTURE = frozenset({"42P01", "42703", "42P10", "3F000"})
"""A table or a column, the index of an ON CONFLICT, or the schema is missing."""
APPLICATION_NAME = "pgsnow-ledger"
CONNECT_TIMEOUT = 10
"""Seconds."""
STATEMENT_TIMEOUT = 30
"""Seconds."""
GRACE = 15
"""Seconds after a statement's time limit, at which the server should have ended it: then the connection is given up."""
LOCK_TIMEOUT = 10
"""Seconds. Rows are locked for one short statement only; a longer wait means that some transaction was
left open.
"""

_CLIENT = {
    "connect_timeout": CONNECT_TIMEOUT,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""libpq's parameters; those of the DSN take precedence. A server that vanished is noticed within a minute."""
_SERVER = {
    **TEXT_SETTINGS,
    "statement_timeout": f"{STATEMENT_TIMEOUT}s",
    "lock_timeout": f"{LOCK_TIMEOUT}s",
    "row_security": "off",
}
"""Settings of each transaction. With row_security off, a policy that would hide rows of the ledger is an error."""
_OPENED = """
select pg_backend_pid() = %(pid)s as has_own_session, pg_is_in_recovery() as is_standby,
    case when pg_backend_pid() = %(pid)s then array[
        set_config('tcp_keepalives_idle', '30', false), set_config('tcp_keepalives_interval', '10', false),
        set_config('tcp_keepalives_count', '3', false)
    ] end
"""
"""A pooler tells its clients other process ids than the server's. The server's keepalives let it drop the locks of a
worker whose machine vanished; they are settings of the session, so a session that is shared does not get them.
"""


class LedgerConnection(LocalConnection[dict[str, Any]]):
    """One open connection, and the advisory locks that end with it."""

    patience = float(STATEMENT_TIMEOUT + GRACE)
    has_own_session = True
    """False behind a pooler, where a lock of the session could neither be kept nor given back."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.locked: dict[str, int] = {}
        """Table → fence of the claim for which the lock was taken."""
        self.locked_chunks: dict[int, tuple[ChunkId, int]] = {}
        """Lock → chunk and fence of the claim for which it was taken."""

    def on_silence(self) -> None:
        """Its statements are short, and the server would have ended a longer one."""
        raise psycopg.OperationalError(f"no answer for {self.patience:g} s")


@dataclass(slots=True)
class _Process:
    """State of one process. A forked child gets its own and does not touch its parent's, connection
    included.
    """

    lock: threading.Lock = field(default_factory=threading.Lock)
    connection: LedgerConnection | None = None
    claims: dict[tuple[str, ChunkId | None], Claim] = field(default_factory=dict)
    """Claims that were granted and not released yet, by table and chunk, so that close() can release them."""

    def drop(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.close()


class LedgerSession:
    """Runs work on the connection, one piece at a time."""

    def __init__(self, settings: HasConninfo, schema: str) -> None:
        self.schema = schema
        self._settings = settings
        self._processes: dict[int, _Process] = {}
        self.on_missing: Callable[[psycopg.Error], bool] | None = None
        """Called when a statement misses a part of the ledger's structure; True: it was created, so try again."""

    def run(self, work: Callable[[LedgerConnection], T]) -> T:
        """work(connection), and once more on a new connection if the present one turns out to be broken, or after a
        missing table was created.

        So work must be safe to do twice. Raises the errors of pgsnow.ledger.errors.
        """
        process = self.process
        with process.lock:
            may_repeat, is_whole = process.connection is not None, False
            while True:
                connection = process.connection = process.connection or connect(self._settings, self.schema)
                try:
                    return work(connection)
                except psycopg.Error as error:
                    broken = connection.closed or _session_ended(error)
                    if broken:
                        process.drop()
                    if error.sqlstate in STRUCTURE and self.on_missing is not None and not is_whole:
                        is_whole = self.on_missing(error)
                        if is_whole:
                            continue
                    if not (broken and may_repeat):
                        raise ledger_error(error, self.schema) from error
                    may_repeat = False
                except BaseException:
                    # Interrupted (a time limit, Ctrl-C): the connection may be in the middle of a reply.
                    process.drop()
                    raise

    def close(self) -> None:
        """Close this process's connection, if there is one; its advisory locks end with it."""
        process = self.process
        with process.lock:
            process.drop()

    @property
    def process(self) -> _Process:
        """The state of this process."""
        return self._processes.setdefault(os.getpid(), _Process())


def connect(settings: HasConninfo, schema: str, **server: str) -> LedgerConnection:
    """A new autocommit connection without prepared statements, rows as dicts. `server` overrides settings
    of its transactions.

    Raises LedgerUnavailable, LedgerAccessDenied.
    """
    given = settings.conninfo()
    named = conninfo_to_dict(given)
    chosen = {name: value for name, value in _CLIENT.items() if name not in named}
    conninfo = make_conninfo(given, **chosen, application_name=APPLICATION_NAME, client_encoding="UTF8")
    try:
        connection = LedgerConnection.connect(
            conninfo,
            autocommit=True,
            prepare_threshold=None,
            row_factory=dict_row,
            cursor_factory=LocalCursor,
            context=ADAPTERS,
        )
    except psycopg.Error as error:
        code = sqlstate_of(error) or sqlstate_of_refusal(conninfo)
        raise ledger_error(error, schema, code, login_advice(code, conninfo)) from error
    if "statement_timeout" in server:
        connection.patience = float(server["statement_timeout"].removesuffix("s")) + GRACE
    settings_of_each = local_settings(_SERVER | server, connection.info.server_version)
    connection.local = f"set transaction isolation level read committed; {settings_of_each}"
    try:
        encoding = connection.info.parameter_status("server_encoding") or "UTF8"
        if encoding != "UTF8":
            from pgsnow.ledger.any_text import store_any_text

            store_any_text(connection, encoding)
        [found] = connection.execute(_OPENED, {"pid": connection.info.backend_pid}).fetchall()
    except psycopg.Error as error:
        connection.close()
        raise ledger_error(error, schema) from error
    connection.has_own_session = found["has_own_session"]
    if not found["is_standby"]:  # which refuses to be asked, with another error than that of a write
        connection.local = connection.local.replace("read committed", "read committed, read write", 1)
    return connection


def lock_key(schema: str, table: str) -> int:
    """The advisory lock (bigint) of a table in this ledger. Advisory locks belong to one database.

    https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
    """
    digest = hashlib.sha256(f"pgsnow\0{schema}\0{table}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _session_ended(error: psycopg.Error) -> bool:
    """The server has ended the session: class 08, or 57P01 to 57P05 (shutdown, crash, idle timeout, no such
    database).

    https://www.postgresql.org/docs/current/errcodes-appendix.html
    """
    return (error.sqlstate or "").startswith(("08", "57P"))
