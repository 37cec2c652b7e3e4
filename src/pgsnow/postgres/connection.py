"""Connections to the source: one for small questions, and others for rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgsnow.postgres.copy_connections import ArrowCache, ArrowConnection
from pgsnow.postgres.errors import sqlstate_of, translated
from pgsnow.postgres.login_error import sqlstate_of_refusal

APPLICATION_NAME = "pgsnow"
_CLIENT = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""libpq's own; those of the settings come first. A server that vanished is noticed within about a minute."""

SESSION = (
    ("TimeZone", "UTC"),
    ("DateStyle", "ISO, YMD"),
    ("IntervalStyle", "postgres"),
    ("extra_float_digits", "1"),
    ("bytea_output", "hex"),
    ("row_security", "off"),
    ("standard_conforming_strings", "on"),
)
"""What the text of a value depends on, set the same everywhere. With row_security off a policy that would hide
rows from us is an error, not a loss: https://www.postgresql.org/docs/current/ddl-rowsecurity.html"""

LOCK_TIMEOUT = "10s"
"""How long a statement of ours waits for a table that another session has locked. Longer would hold up the tick's other
tables; nothing is lost by trying again at the next tick."""


class HasConninfo(Protocol):
    """What is needed of the settings: libpq's connection string, with the password."""

    def conninfo(self) -> str: ...


class Source:
    """The source database. May be used from several threads, and after a fork."""

    def __init__(self, settings: HasConninfo) -> None:
        given = conninfo_to_dict(settings.conninfo())
        chosen = {name: value for name, value in _CLIENT.items() if name not in given}
        fixed = {"application_name": APPLICATION_NAME, "client_encoding": "UTF8"}
        self._conninfo = make_conninfo("", **{**given, **chosen, **fixed})
        self._arrow = ArrowCache(self._conninfo)

    def connect(self) -> psycopg.Connection:
        """A new connection: autocommit, no prepared statements (so that poolers work), everything in UTC.

        The caller closes it. Raises SourceUnavailable, SourceAccessDenied.
        """
        try:
            conn = psycopg.connect(self._conninfo, autocommit=True, prepare_threshold=None)
            conn.execute(session_settings(local=False, lock_timeout=LOCK_TIMEOUT))
        except psycopg.Error as error:
            code = sqlstate_of(error) or sqlstate_of_refusal(self._conninfo)
            raise translated(error, "source", sqlstate=code) from error
        return conn

    @contextmanager
    def arrow(self) -> Iterator[ArrowConnection]:
        """A connection for rows, for this block alone; kept for the next one unless the block fails.

        Raises SourceUnavailable.
        """
        with self._arrow.lease() as connection:
            yield connection

    def close(self) -> None:
        """Close idle connections. The source can be used again afterwards."""
        self._arrow.close()


def bounded_waits() -> str:
    """LOCK_TIMEOUT until the end of the transaction, by a SET: unlike a SELECT it takes no snapshot."""
    return f"set local lock_timeout = '{LOCK_TIMEOUT}'"


def session_settings(*, local: bool, **more: str) -> str:
    """One SELECT that sets SESSION and `more`. local: until the end of the transaction, which is all that is
    sure behind a pooler in transaction mode."""
    pairs = [*SESSION, *more.items()]
    calls = (f"set_config('{name}', '{value}', {str(local).lower()})" for name, value in pairs)
    return "select " + ", ".join(calls)
