"""The SQLSTATE of a failed login, from libpq's protocol trace: libpq itself does not report it.

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

_REFUSAL = re.compile(rb'^B\t[^\t]*\tErrorResponse\t.*? C "([0-9A-Z]{5})"', re.MULTILINE)


def sqlstate_of_refusal(conninfo: str, *, seconds: float = 10.0) -> str | None:
    """Log in once more with a trace, and return the SQLSTATE of the server's error. seconds: for all of it.

    None if the server does not answer, accepts the login this time, or this platform cannot trace. The trace holds what
    was sent, so it is kept in memory that no other process can open, and only the code is taken from it.
    """
    if not sys.platform.startswith("linux"):
        return None
    descriptor = os.memfd_create("pgsnow-login", os.MFD_CLOEXEC)
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
