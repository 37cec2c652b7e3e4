"""Reading a query's rows with COPY over one connection."""

from __future__ import annotations

import select
from collections.abc import Callable, Collection, Generator
from dataclasses import replace
from typing import Any, Protocol

import psycopg
import pyarrow as pa
from psycopg import pq
from psycopg.errors import error_from_result

from pgsnow.postgres.copy.batch import TEXT, CopyColumn
from pgsnow.postgres.copy.messages import CopyResponse
from pgsnow.postgres.silence import PATIENCE, require_server


class CopyChannel(Protocol):
    """A way to send one COPY and to receive the server's messages."""

    def send(self, statement: bytes) -> None:
        """Send a simple query. Raises OSError, psycopg.Error."""

    def receive(self, memory: memoryview) -> int:
        """Write what has come into `memory`, and return the number of bytes; 0: nothing came for a while.
        Raises OSError, psycopg.Error."""

    def close(self) -> None:
        """Release what the channel holds. The connection stays open."""


OpenChannel = Callable[[pq.abc.PGconn], CopyChannel]


def rows(
    conn: psycopg.Connection[Any], query: str, open_channel: OpenChannel, texts: Collection[int] = ()
) -> Generator[pa.RecordBatch]:
    """The rows of a SELECT in batches of up to about 4 MB. Its columns and their types are asked for first.
    texts: oids of further types that are sent as their text, such as enums.

    `conn` is idle, or idle in a transaction; nothing else can be sent on it until all rows were read.
    Raises psycopg.Error."""
    columns = [
        replace(column, oid=TEXT) if column.oid in texts else column
        for column in described(conn.pgconn, query.encode())
    ]
    channel = open_channel(conn.pgconn)
    try:
        channel.send(f"copy ({query}\n) to stdout (format binary)".encode())
        yield from CopyResponse(channel.receive, columns)
    except OSError as error:
        raise psycopg.OperationalError(f"the connection was lost: {error}") from error
    finally:
        channel.close()


def described(pgconn: pq.abc.PGconn, query: bytes) -> tuple[CopyColumn, ...]:
    """The columns of a query, which is parsed for that, but not planned. A domain is reported as its base type.

    https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-EXT-QUERY"""
    pgconn.send_prepare(b"", query)
    _checked(pgconn)
    pgconn.send_describe_prepared(b"")
    found = _checked(pgconn)
    return tuple(
        CopyColumn((found.fname(at) or b"").decode(), found.ftype(at), found.fmod(at))
        for at in range(found.nfields)
    )


def _checked(pgconn: pq.abc.PGconn) -> pq.abc.PGresult:
    """The result of what was sent. (psycopg's describe_prepared holds the GIL until the server has answered.)"""
    flush(pgconn)
    found = result_of(pgconn)
    while result_of(pgconn) is not None:
        pass
    if found is None or found.status != pq.ExecStatus.COMMAND_OK:
        raise failure(pgconn, found)
    return found


def is_encrypted(conn: psycopg.Connection[Any]) -> bool:
    """True if the connection is encrypted, by TLS or GSSAPI. libpq does not report GSSAPI, so the server is asked.

    https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-GSSAPI-VIEW"""
    if conn.pgconn.ssl_in_use:
        return True
    modes = [option.val for option in conn.pgconn.info if option.keyword == b"gssencmode"]
    if modes in ([], [b"disable"]) or conn.info.server_version < 120000:
        return False
    found = conn.execute(  # a standby refuses the isolation level serializable, which may be the default
        "set transaction isolation level read committed, read only;"
        " select encrypted from pg_stat_gssapi where pid = pg_backend_pid()"
    )
    return found.set_result(-1).fetchall() == [(True,)]


def flush(pgconn: pq.abc.PGconn) -> None:
    """Wait until everything that was queued has been sent."""
    while pgconn.flush():
        select.select([], [pgconn.socket], [])


def result_of(pgconn: pq.abc.PGconn) -> pq.abc.PGresult | None:
    """The next result; None: there are no more. (PQgetResult alone would hold the GIL while it waits.)"""
    while pgconn.is_busy():
        wait(pgconn)
    return pgconn.get_result()


def wait(pgconn: pq.abc.PGconn) -> None:
    """Wait until something comes, and let libpq read it. Raises psycopg.OperationalError if the server has vanished."""
    while not select.select([pgconn.socket], [], [], PATIENCE)[0]:
        require_server(pgconn)
    pgconn.consume_input()


def failure(pgconn: pq.abc.PGconn, result: pq.abc.PGresult | None) -> psycopg.Error:
    """The error to raise for a result that is not the expected one."""
    if result is None:
        return psycopg.OperationalError(pgconn.get_error_message())
    return error_from_result(result)
