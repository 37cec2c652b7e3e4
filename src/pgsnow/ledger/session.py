"""The ledger's one connection a process: opened at first use, shared by all threads, opened again when it
breaks.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import dict_row

from pgsnow.ledger.errors import ledger_error, translating
from pgsnow.model.backfill import ChunkId
from pgsnow.postgres.errors import sqlstate_of
from pgsnow.postgres.login_error import sqlstate_of_refusal

T = TypeVar("T")

APPLICATION_NAME = "pgsnow-ledger"
CONNECT_TIMEOUT = 10
"""Seconds."""
STATEMENT_TIMEOUT = 30
"""Seconds."""
LOCK_TIMEOUT = 10
"""Seconds. Rows are locked for one short statement only, so a longer wait is somebody's forgotten
transaction.
"""

_CLIENT = {
    "connect_timeout": CONNECT_TIMEOUT,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""libpq's own; those of the DSN come first. A server that vanished is noticed within a minute."""
_SERVER = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "statement_timeout": f"{STATEMENT_TIMEOUT}s",
    "lock_timeout": f"{LOCK_TIMEOUT}s",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
"""Settings of the session. The server's keepalives let it drop the locks of a worker whose machine
vanished.
"""


class HasConninfo(Protocol):
    """What the ledger needs of the settings: libpq's connection string, with the password."""

    def conninfo(self) -> str: ...


def connect(settings: HasConninfo, **server: str) -> psycopg.Connection[dict[str, Any]]:
    """A new autocommit connection without prepared statements, rows as dicts. `server` overrides session
    settings.

    Raises LedgerUnavailable, LedgerAccessDenied.
    """
    given = settings.conninfo()
    named = conninfo_to_dict(given)
    chosen = {name: value for name, value in _CLIENT.items() if name not in named}
    conninfo = make_conninfo(given, **chosen, application_name=APPLICATION_NAME, client_encoding="UTF8")
    try:
        connection = psycopg.connect(conninfo, autocommit=True, prepare_threshold=None, row_factory=dict_row)
    except psycopg.Error as error:
        raise ledger_error(error, sqlstate_of(error) or sqlstate_of_refusal(conninfo)) from error
    try:
        wanted = json.dumps(_SERVER | server)
        connection.execute("select set_config(key, value, false) from json_each_text(%s::json)", [wanted])
    except psycopg.Error as error:
        connection.close()
        raise ledger_error(error) from error
    return connection


@dataclass(slots=True)
class Link:
    """One open connection, and the advisory locks that live and die with it."""

    connection: psycopg.Connection[dict[str, Any]]
    locked: dict[str, int] = field(default_factory=dict)
    """Table → fence of the claim for which the lock was taken."""
    locked_chunks: dict[int, tuple[ChunkId, int]] = field(default_factory=dict)
    """Lock → chunk and fence of the claim for which it was taken."""

    def rows(self, query: sql.Composed, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Run one statement; its rows, or none if it gives none."""
        cursor = self.connection.execute(query, params)
        return cursor.fetchall() if cursor.description else []

    def count(self, query: sql.Composed, params: Mapping[str, Any]) -> int:
        """Run one statement; how many rows it changed."""
        return self.connection.execute(query, params).rowcount


@dataclass(slots=True)
class _Process:
    """What belongs to one process. A forked child gets its own and leaves its parent's alone, connection
    included.
    """

    lock: threading.Lock = field(default_factory=threading.Lock)
    link: Link | None = None


class LedgerSession:
    """Runs work on the connection, one piece at a time."""

    def __init__(self, settings: HasConninfo) -> None:
        self._settings = settings
        self._processes: dict[int, _Process] = {}

    def run(self, work: Callable[[Link], T]) -> T:
        """work(link), and once more on a new connection if the present one turns out to be broken.

        So work must bear being done twice. Raises LedgerUnavailable, LedgerAccessDenied.
        """
        process = self._process()
        with process.lock, translating():
            reused = process.link is not None
            try:
                return self._once(process, work)
            except psycopg.Error:
                if process.link is not None or not reused:
                    raise
            return self._once(process, work)

    def close(self) -> None:
        """Close this process's connection, if there is one; its advisory locks go with it."""
        process = self._process()
        with process.lock:
            _drop(process)

    def _process(self) -> _Process:
        return self._processes.setdefault(os.getpid(), _Process())

    def _once(self, process: _Process, work: Callable[[Link], T]) -> T:
        if process.link is None:
            process.link = Link(connect(self._settings))
        try:
            return work(process.link)
        except psycopg.Error as error:
            if process.link.connection.closed or _cut(error):
                _drop(process)
            raise
        except BaseException:
            # Interrupted (a time limit, Ctrl-C): the connection may be in the middle of a reply.
            _drop(process)
            raise


def _drop(process: _Process) -> None:
    link, process.link = process.link, None
    if link is not None:
        link.connection.close()


def _cut(error: psycopg.Error) -> bool:
    """The server has ended the session: class 08, or 57P01 to 57P05 (shutdown, crash, idle timeout, no such
    database).

    https://www.postgresql.org/docs/current/errcodes-appendix.html
    """
    state = error.sqlstate or ""
    return state.startswith(("08", "57P"))
