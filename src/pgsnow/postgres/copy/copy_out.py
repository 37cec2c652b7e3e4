"""A query's rows over one connection, by the cheapest way that it allows."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import pq

from pgsnow.postgres.copy.columns import CopyColumn
from pgsnow.postgres.copy.libpq_channel import LibpqChannel, failure, result_of, sent
from pgsnow.postgres.copy.messages import CopyResponse
from pgsnow.postgres.copy.socket_channel import SocketChannel
from pgsnow.postgres.copy.tls_channel import TlsChannel


def rows(conn: psycopg.Connection[Any], query: str, *, encrypted: bool) -> Generator[pa.RecordBatch]:
    """The rows of a SELECT in batches of up to about 1 MB. Its columns and their types are asked for first.

    `conn` is idle, or idle in a transaction; not so again until all was read. Raises psycopg.Error."""
    columns = described(conn.pgconn, query.encode())
    channel = (
        (TlsChannel.through(conn.pgconn) or LibpqChannel(conn.pgconn))
        if encrypted
        else SocketChannel(conn.pgconn)
    )
    try:
        channel.send(f"copy ({query}\n) to stdout (format binary)".encode())
        yield from CopyResponse(channel.receive, columns)
    except OSError as error:
        raise psycopg.OperationalError(f"the connection was lost: {error}") from error
    finally:
        channel.close()


def described(pgconn: pq.abc.PGconn, query: bytes) -> tuple[CopyColumn, ...]:
    """The columns of a query, which is parsed for that, but not planned. Domains tell the type they are made of.

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
    """Of what was sent. psycopg's describe_prepared would keep Python's lock until the server has answered."""
    sent(pgconn)
    found = result_of(pgconn)
    while result_of(pgconn) is not None:
        pass
    if found is None or found.status != pq.ExecStatus.COMMAND_OK:
        raise failure(pgconn, found)
    return found


def is_encrypted(conn: psycopg.Connection[Any]) -> bool:
    """Is it more than the protocol that goes over the socket? libpq does not tell of GSSAPI, the server does.

    https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-GSSAPI-VIEW"""
    if conn.pgconn.ssl_in_use:
        return True
    modes = [option.val for option in conn.pgconn.info if option.keyword == b"gssencmode"]
    if modes in ([], [b"disable"]) or conn.info.server_version < 120000:
        return False
    told = conn.execute("select encrypted from pg_stat_gssapi where pid = pg_backend_pid()").fetchall()
    return told == [(True,)]
