"""Past libpq or through it, on a connection that it encrypts: the same rows, the same errors, the same end."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pyarrow as pa
import pytest

from pgsnow.postgres.copy.copy_out import OpenChannel, is_encrypted, rows
from pgsnow.postgres.copy.libpq_channel import LibpqChannel
from pgsnow.postgres.copy.socket_channel import SocketChannel
from tests.integration.postgres.lab import Lab

VALUES = """
select g as n, g::int8 * 1000 as big, g::int2 as small, g / 7.0::float8 as double,
       g::float4 as single, g % 2 = 0 as flag, repeat('ä', g % 50) as txt, nullif(g % 3, 0)::text as sparse,
       decode(md5(g::text), 'hex') as bin,
       md5(g::text)::uuid as uid, (g * 1.01)::numeric(14,2) as price, (-g * 1e-7)::numeric(12,9) as tiny,
       date '1900-01-01' + g as day, time '00:00' + g * interval '1 second' as clock,
       timestamp '1800-01-01' + g * interval '1 hour' as ntz, timestamptz '2000-01-01Z' - g * interval '1 s' as tz,
       jsonb_build_object('g', g) as doc, '{"a": 1}'::json as js, 'x'::"char" as one, g::text::name as nm,
       g::oid as num, null::text as nothing
from generate_series(1, 20000) g
"""


@pytest.fixture(params=[SocketChannel, LibpqChannel], ids=["past libpq", "through libpq"])
def through(request: pytest.FixtureRequest) -> OpenChannel:
    opener: OpenChannel = request.param
    return opener


@pytest.fixture
def conn(lab: Lab) -> Iterator[psycopg.Connection]:
    conn = psycopg.connect(lab.dsn, autocommit=True)
    conn.execute("set time zone 'UTC'")
    yield conn
    conn.close()


def test_every_value_is_the_one_that_psycopg_gives(conn: psycopg.Connection, through: OpenChannel) -> None:
    found = pa.Table.from_batches(rows(conn, VALUES, through))
    found.validate(full=True)
    shown = VALUES.replace("md5(g::text)::uuid as", "md5(g::text)::uuid::text as")
    shown = shown.replace("jsonb_build_object('g', g)", "jsonb_build_object('g', g)::text")
    shown = shown.replace("'{\"a\": 1}'::json", "'{\"a\": 1}'::text")
    wanted = conn.execute(shown.encode()).fetchall()
    for at in range(found.num_columns):
        assert found.column(at).to_pylist() == [row[at] for row in wanted]


def test_the_connection_serves_on_when_all_was_read(conn: psycopg.Connection, through: OpenChannel) -> None:
    with conn.transaction():
        for count in (0, 1, 100_000):
            query = f"select g from generate_series(1, {count}) g"
            assert sum(batch.num_rows for batch in rows(conn, query, through)) == count
        assert conn.execute("select 1").fetchone() == (1,)


@pytest.mark.parametrize(
    ("query", "sqlstate"),
    [
        ("select 1 / (9999 - g) from generate_series(1, 10000) g", "22012"),
        ("select nowhere from pg_class", "42703"),
        ("select pg_terminate_backend(pg_backend_pid())", "57P01"),
    ],
)
def test_a_refusal_tells_its_code(
    conn: psycopg.Connection, through: OpenChannel, query: str, sqlstate: str
) -> None:
    with pytest.raises(psycopg.Error) as caught:
        list(rows(conn, query, through))
    assert caught.value.sqlstate == sqlstate


def test_a_connection_without_tls_is_not_encrypted(conn: psycopg.Connection) -> None:
    assert not is_encrypted(conn)
