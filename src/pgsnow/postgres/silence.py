"""Asks after a server that has sent nothing for a while. Only then is this module entered.

A statement may run for hours, so silence alone is no failure. But a machine, a pooler or a firewall that no longer
forwards anything may keep the TCP connection open, so that no limit of TCP ends the wait either. So the server is
asked, over another connection, whether it still works on the statement.
"""

from __future__ import annotations

import select

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo

from pgsnow.postgres.errors import sqlstate_of
from pgsnow.postgres.login_error import sqlstate_of_refusal

PATIENCE = 60.0
"""Seconds without a byte after which the server is asked, and then again and again."""
ATTEMPTS = 3
"""Connections that are tried before the server counts as unreachable."""
ANSWER_SECONDS = 10
"""For each of them: to connect, and for its answer."""
_LEFT_OUT = frozenset({"replication", "connect_timeout", "application_name", "options"})
_STATE = """
set transaction isolation level read committed, read only;
select pg_backend_pid() = {own} as is_server,
       exists (select from pg_stat_activity where pid = {pid}
               and (state is null or state not like 'idle%') and wait_event is distinct from 'ClientWrite') as works
"""
"""A pooler tells its clients other process ids than the server's; then the answer alone counts."""


def require_server(pgconn: pq.abc.PGconn) -> None:
    """Return if the server still works for this connection, or if its answer has come meanwhile.

    Raises psycopg.OperationalError if the server cannot be reached, or has sent an answer that did not arrive. Takes
    ATTEMPTS times ANSWER_SECONDS at most, twice as long for a server that refuses."""
    try:
        works = _still_works(_conninfo(pgconn), pgconn.backend_pid)
    except (psycopg.Error, OSError) as error:
        raise psycopg.OperationalError(
            f"no answer for {PATIENCE:g} s, and none to {ATTEMPTS} new connections"
        ) from error
    if not works and not select.select([pgconn.socket], [], [], 0)[0]:
        raise psycopg.OperationalError(
            f"no answer for {PATIENCE:g} s, and the server no longer works on the statement: its answer, or the"
            " statement, was lost in the network"
        )


def _still_works(conninfo: str, pid: int) -> bool:
    """Whether the server works for the session with this process id, or answers that it takes no further session."""
    for attempt in range(ATTEMPTS):
        try:
            return _is_active(conninfo, pid)
        except (psycopg.Error, OSError) as error:
            if sqlstate_of(error) or sqlstate_of_refusal(conninfo, seconds=ANSWER_SECONDS):
                return True
            if attempt == ATTEMPTS - 1:
                raise
    return True


def _is_active(conninfo: str, pid: int) -> bool:
    conn = psycopg.connect(conninfo, autocommit=True, connect_timeout=ANSWER_SECONDS, prepare_threshold=None)
    try:
        pgconn = conn.pgconn
        pgconn.send_query(_STATE.format(own=conn.info.backend_pid, pid=pid).encode())
        pgconn.flush()
        while pgconn.is_busy():
            if not select.select([pgconn.socket], [], [], ANSWER_SECONDS)[0]:
                raise psycopg.OperationalError("no answer")
            pgconn.consume_input()
        results = []
        while (result := pgconn.get_result()) is not None:
            results.append(result)
        values = [results[-1].get_value(0, at) for at in range(2)] if results[-1].ntuples else []
        return values != [b"t", b"f"]
    finally:
        conn.close()


def _conninfo(pgconn: pq.abc.PGconn) -> str:
    """libpq's connection string to the same server, with the password: secret."""
    given = {option.keyword.decode(): option.val.decode() for option in pgconn.info if option.val}
    place = {"host": pgconn.host, "hostaddr": pgconn.hostaddr, "port": pgconn.port}
    chosen = {name: value.decode() for name, value in place.items() if value}
    kept = {name: value for name, value in given.items() if name not in _LEFT_OUT}
    return make_conninfo("", **{**kept, **chosen, "application_name": "pgsnow"})
