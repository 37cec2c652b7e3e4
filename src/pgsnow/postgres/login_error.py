"""The SQLSTATE of a failed login, from libpq's protocol trace (libpq itself does not report it), and the advice for it.

https://www.postgresql.org/docs/current/libpq-control.html (PQtrace)
"""

from __future__ import annotations

import os
import re
import select
import sys
import time

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import Identifier

from pgsnow.model.errors import PgsnowError, SourceAccessDenied
from pgsnow.postgres.errors import sqlstate_of, translated

_REFUSAL = re.compile(rb'^B\t[^\t]*\tErrorResponse\t.*? C "([0-9A-Z]{5})"', re.MULTILINE)


_ADVICE = {
    "42501": "GRANT CONNECT ON DATABASE {database} TO {user};",
    "55000": "ALTER DATABASE {database} ALLOW_CONNECTIONS true;",
    "28000": "Server {host} does not admit user {user}: correct the user, or as an administrator CREATE ROLE {user}"
    " LOGIN; or ALTER ROLE {user} LOGIN; or add a line for it to pg_hba.conf.",
}
"""At a login, these codes have another meaning than for a statement. Others have the advice of every statement.
https://www.postgresql.org/docs/current/client-authentication-problems.html"""


def login_failed(error: Exception, conninfo: str) -> PgsnowError:
    """The error to raise in place of the driver's for a connection to the source that failed."""
    code = sqlstate_of(error) or sqlstate_of_refusal(conninfo)
    found = translated(error, sqlstate=code)
    advice = login_advice(code, conninfo)
    return SourceAccessDenied(str(found), advice=advice, code=code) if advice else found


def login_advice(code: str | None, conninfo: str) -> str:
    """The advice for a login that failed with this SQLSTATE; '' if it is not a login's own. Without the password."""
    given = conninfo_to_dict(conninfo)
    user = str(given.get("user") or "")
    names = {"user": user, "database": str(given.get("dbname") or user)}
    quoted = {key: Identifier(name).as_string(None) if name else "..." for key, name in names.items()}
    return _ADVICE.get(code or "", "").format(**quoted, host=given.get("host") or "localhost")


def sqlstate_of_refusal(conninfo: str, *, seconds: float = 10.0) -> str | None:
    """Log in once more with a trace, and return the SQLSTATE of the server's error. seconds: for all of it.

    None if the server does not answer, accepts the login this time, or this platform cannot trace. The trace holds what
    was sent, so it is kept in memory that no other process can open, and only the code is taken from it.
    """
    if not sys.platform.startswith("linux"):
        return None
    try:
        descriptor = os.memfd_create("pgsnow-login", os.MFD_CLOEXEC)
    except OSError:  # this process may open no more files, which may be why the login failed
        return None
    try:
        _log_in(conninfo, descriptor, time.monotonic() + seconds)
        found = _REFUSAL.search(os.pread(descriptor, 1 << 20, 0))
    except (psycopg.Error, OSError):
        return None
    finally:
        os.close(descriptor)
    return found[1].decode() if found else None


def _log_in(conninfo: str, trace: int, deadline: float) -> None:
    conn = pq.PGconn.connect_start(conninfo.encode())
    try:
        conn.trace(trace)
        conn.set_trace_flags(pq.Trace.SUPPRESS_TIMESTAMPS)
        while (status := conn.connect_poll()) in (pq.PollingStatus.READING, pq.PollingStatus.WRITING):
            left = deadline - time.monotonic()
            reading = status == pq.PollingStatus.READING
            waiting: list[int] = [conn.socket]
            ready = select.select(waiting if reading else [], [] if reading else waiting, [], max(left, 0))
            if not any(ready):
                return
    finally:
        conn.untrace()
        conn.finish()
