"""Connections to the source: one for catalog queries and probes, others that read rows."""

from __future__ import annotations

from typing import Protocol

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgsnow.model.settings.postgres import CopyMode
from pgsnow.postgres.copy_connections import CopyConnections
from pgsnow.postgres.login_error import login_failed

APPLICATION_NAME = "pgsnow"
_CLIENT = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""Connection parameters of libpq; those in the settings take precedence. A server that vanished is noticed within about
a minute."""

SESSION = (
    ("TimeZone", "UTC"),
    ("DateStyle", "ISO, YMD"),
    ("IntervalStyle", "postgres"),
    ("extra_float_digits", "1"),
    ("bytea_output", "hex"),
    ("row_security", "off"),
    ("standard_conforming_strings", "on"),
)
"""Settings of a session that the text of a value depends on. With row_security off, a policy that would hide rows
from us is an error, not a loss: https://www.postgresql.org/docs/current/ddl-rowsecurity.html"""

LOCK_TIMEOUT = "10s"
"""How long a statement waits for a table that another session has locked. Longer would delay the tick's other tables;
the next tick tries again."""


BOUNDED_WAITS = f"set local lock_timeout = '{LOCK_TIMEOUT}'"
"""A SET until the end of the transaction. Unlike a SELECT it takes no snapshot."""


def session_settings(*, local: bool, **more: str) -> str:
    """A SELECT that sets SESSION and `more`. local: until the end of the transaction, which is all that can be relied
    on behind a pooler in transaction mode."""
    pairs = [*SESSION, *more.items()]
    calls = (f"set_config('{name}', '{value}', {str(local).lower()})" for name, value in pairs)
    return "select " + ", ".join(calls)


_SET_SESSION = session_settings(local=False, lock_timeout=LOCK_TIMEOUT)


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
        self._copy_connections = CopyConnections(self._conninfo, settings.copy)
        self.copy_connection = self._copy_connections.lease
        """A connection that reads rows, for the length of a `with` block; kept for the next block unless that fails.

        Entering it raises SourceUnavailable, SourceAccessDenied."""

    def connect(self) -> psycopg.Connection:
        """A new connection: autocommit, no prepared statements (so that poolers work), everything in UTC.

        The caller closes it. Raises SourceUnavailable, SourceAccessDenied.
        """
        try:
            conn = psycopg.connect(self._conninfo, autocommit=True, prepare_threshold=None)
            conn.execute(_SET_SESSION)
        except psycopg.Error as error:
            raise login_failed(error, self._conninfo) from error
        return conn

    def close(self) -> None:
        """Close idle connections. The source can be used again afterwards."""
        self._copy_connections.close()
