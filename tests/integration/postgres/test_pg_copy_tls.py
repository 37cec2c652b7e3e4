"""A COPY past libpq on a connection that it encrypts: the same rows as through it, and the same ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pyarrow as pa
import pytest
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgsnow.model.settings.postgres import CopyMode
from pgsnow.postgres.copy import openssl
from pgsnow.postgres.copy.choose import Channel, ChannelChoice, ChannelChoices
from pgsnow.postgres.copy.copy_out import described, is_encrypted, rows
from pgsnow.postgres.copy.libpq_channel import LibpqChannel
from pgsnow.postgres.copy.messages import CopyResponse
from pgsnow.postgres.copy.tls_channel import TlsChannel
from pgsnow.postgres.copy_connections import CopyConnection
from pgsnow.postgres.read.prefetch import Prefetcher
from tests.integration.postgres.lab import Lab
from tests.integration.postgres.terminator import Terminator, tls_before
from tests.integration.postgres.test_pg_copy_ways import VALUES

TLS = ChannelChoice(Channel.TLS)
MANY = "select g, repeat('x', 200) as t from generate_series(1, 500000) g"


@pytest.fixture
def terminator(lab: Lab, tmp_path: Path) -> Iterator[Terminator]:
    with tls_before(int(str(conninfo_to_dict(lab.dsn)["port"])), tmp_path / "tls") as running:
        yield running


@pytest.fixture
def dsn(lab: Lab, terminator: Terminator) -> str:
    return make_conninfo(lab.dsn, host="127.0.0.1", port=terminator.port, sslmode="require")


@pytest.fixture
def conn(dsn: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("set time zone 'UTC'")
        yield conn


def through_libpq(conn: psycopg.Connection, query: str) -> pa.Table:
    driven = LibpqChannel(conn.pgconn)
    columns = described(conn.pgconn, query.encode())
    driven.send(f"copy ({query}\n) to stdout (format binary)".encode())
    return pa.Table.from_batches(list(CopyResponse(driven.receive, columns)))


def test_with_tls_rows_go_past_libpq(conn: psycopg.Connection) -> None:
    assert is_encrypted(conn)
    assert isinstance(TlsChannel.through(conn.pgconn), TlsChannel)


def test_every_row_is_the_one_that_comes_through_libpq(conn: psycopg.Connection) -> None:
    found = pa.Table.from_batches(rows(conn, VALUES, TLS.open))
    found.validate(full=True)
    assert found.combine_chunks().equals(through_libpq(conn, VALUES).combine_chunks())


@pytest.mark.parametrize("size", [0, 1, 8191, 16384, 40 << 20])
def test_a_value_of_any_size_comes_whole(conn: psycopg.Connection, size: int) -> None:
    found = pa.Table.from_batches(rows(conn, f"select repeat('y', {size}) as t", TLS.open))
    assert found.column("t").to_pylist() == ["y" * size]


def test_the_connection_serves_on_when_all_was_read(conn: psycopg.Connection) -> None:
    with conn.transaction():
        for count in (0, 1, 100_000):
            query = f"select g from generate_series(1, {count}) g"
            assert sum(batch.num_rows for batch in rows(conn, query, TLS.open)) == count
            assert conn.execute("select %s", [count]).fetchone() == (count,)


def test_a_statement_longer_than_a_record_is_sent_whole(conn: psycopg.Connection) -> None:
    query = f"select length('{'z' * 3_000_000}') as n"
    assert pa.Table.from_batches(rows(conn, query, TLS.open)).to_pydict() == {"n": [3_000_000]}


@pytest.mark.parametrize(
    ("query", "sqlstate"),
    [
        ("select 1 / (9999 - g) from generate_series(1, 10000) g", "22012"),
        ("select nowhere from pg_class", "42703"),
        ("select pg_terminate_backend(pg_backend_pid())", "57P01"),
    ],
)
def test_a_refusal_tells_its_code(conn: psycopg.Connection, query: str, sqlstate: str) -> None:
    with pytest.raises(psycopg.Error) as caught:
        list(rows(conn, query, TLS.open))
    assert caught.value.sqlstate == sqlstate


def test_after_an_error_among_the_rows_the_connection_serves_on(conn: psycopg.Connection) -> None:
    with pytest.raises(psycopg.Error):
        list(rows(conn, "select 1 / (9999 - g) from generate_series(1, 10000) g", TLS.open))
    assert conn.execute("select 1").fetchone() == (1,)


def test_a_cut_among_the_rows_is_a_lost_connection(terminator: Terminator, dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        terminator.cut_after = 1_000_000
        with pytest.raises(psycopg.OperationalError):
            list(rows(conn, MANY, TLS.open))
        with pytest.raises(psycopg.OperationalError):
            conn.execute("select 1")


def test_a_read_that_is_left_is_cancelled_and_its_thread_ends(dsn: str) -> None:
    connection = CopyConnection(dsn)
    assert connection.prepare(ChannelChoices(CopyMode.AUTO))
    assert connection.channel == TLS
    with connection.stream(MANY) as (reader, cancel), Prefetcher(reader, cancel) as stream:
        assert next(iter(stream)).num_rows > 0
    assert connection.spoiled
    assert not [thread for thread in threading.enumerate() if thread.name == "pgsnow-fetch"]
    connection.close()


def test_a_closed_connection_is_not_read_from(dsn: str) -> None:
    conn = psycopg.connect(dsn, autocommit=True)
    batches = rows(conn, MANY, TLS.open)
    next(batches)
    conn.close()
    with pytest.raises(psycopg.OperationalError):
        list(batches)


def test_without_the_librarys_functions_rows_go_through_libpq(
    conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(openssl._SIGNATURES, "SSL_that_is_not", (None, []))
    openssl._loaded.cache_clear()
    assert TlsChannel.through(conn.pgconn) is None
    assert pa.Table.from_batches(rows(conn, "select 7 as n", TLS.open)).to_pydict() == {"n": [7]}
    monkeypatch.undo()
    openssl._loaded.cache_clear()


def test_without_tls_there_is_no_session(lab: Lab) -> None:
    pgconn: pq.abc.PGconn = lab.admin.pgconn
    assert TlsChannel.through(pgconn) is None
    known = openssl.openssl_of(pgconn)
    assert known is not None
    assert known.session(pgconn) is None
