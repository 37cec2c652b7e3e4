"""The fault proxy, between real clients and real servers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest

from pgsnow.testing.proxy import FaultProxy
from tests.integration.embedded.clients import connect, rows


@pytest.fixture
def to_postgres(database: str) -> Iterator[FaultProxy]:
    port = urlsplit(database).port
    assert port is not None
    with FaultProxy(port) as proxy:
        yield proxy


@pytest.fixture
def proxied(database: str, to_postgres: FaultProxy) -> str:
    return database.replace(f":{urlsplit(database).port}/", f":{to_postgres.port}/")


def test_everything_passes_by_default(proxied: str, to_postgres: FaultProxy) -> None:
    with psycopg.connect(proxied) as connection:
        assert connection.execute("SELECT sum(i) FROM generate_series(1, 100000) i").fetchone() == (
            5000050000,
        )
    assert to_postgres.accepted == 1
    assert to_postgres.bytes_passed > 0


def test_refused_connections_are_told_at_once_and_heal(proxied: str, to_postgres: FaultProxy) -> None:
    to_postgres.behave(refuse=True)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(proxied)
    to_postgres.heal()
    psycopg.connect(proxied).close()


def test_an_unreachable_upstream_is_a_refused_connection() -> None:
    from pgsnow.embedded.process import free_port

    with FaultProxy(free_port()) as proxy, pytest.raises(psycopg.OperationalError):
        psycopg.connect(f"postgresql://postgres@127.0.0.1:{proxy.port}/postgres")


def test_reset_ends_open_connections(proxied: str, to_postgres: FaultProxy) -> None:
    with psycopg.connect(proxied, autocommit=True) as connection:
        connection.execute("SELECT 1")
        to_postgres.reset()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")


def test_a_blackhole_takes_bytes_until_it_is_healed(proxied: str, to_postgres: FaultProxy) -> None:
    with psycopg.connect(proxied, autocommit=True) as connection:
        to_postgres.behave(blackhole=True)
        answered: list[object] = []
        ask = threading.Thread(target=lambda: answered.append(connection.execute("SELECT 7").fetchone()))
        ask.start()
        ask.join(0.5)
        assert ask.is_alive()
        assert answered == []
        to_postgres.heal()
        ask.join(30)
        assert answered == [(7,)]


def test_a_stream_is_cut_in_its_middle_once(proxied: str, to_postgres: FaultProxy) -> None:
    with psycopg.connect(proxied) as connection:
        to_postgres.behave(cut_after=200_000)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT repeat('x', 100) FROM generate_series(1, 100000)").fetchall()
    with psycopg.connect(proxied) as connection:
        count = len(connection.execute("SELECT repeat('x', 100) FROM generate_series(1, 10000)").fetchall())
    assert count == 10_000


def test_latency_and_rate_slow_but_change_nothing(proxied: str, to_postgres: FaultProxy) -> None:
    to_postgres.behave(latency=0.01, rate=5_000_000.0)
    with psycopg.connect(proxied) as connection:
        fetched = connection.execute("SELECT i FROM generate_series(1, 20000) i").fetchall()
    assert [row[0] for row in fetched] == list(range(1, 20_001))


def test_the_reply_of_a_merge_is_held_although_the_connector_compresses_it(
    snowflake_env: dict[str, str],
) -> None:
    """The statement has committed on the server while its client still waits: the moment a worker may die in."""
    with FaultProxy(int(snowflake_env["SNOWFLAKE_PORT"])) as proxy:
        through = snowflake_env | {"SNOWFLAKE_PORT": str(proxy.port)}
        with connect(through) as client, connect(snowflake_env) as witness:
            rows(client, "CREATE TABLE T (I NUMBER(38,0))")
            proxy.behave(hold_replies=b"MERGE INTO")
            merge = "MERGE INTO T USING (SELECT 1 AS I) AS s ON T.I = s.I WHEN NOT MATCHED THEN INSERT (I) VALUES (s.I)"
            running = threading.Thread(target=rows, args=(client, merge))
            running.start()
            assert proxy.wait_until_holding()
            assert rows(witness, "SELECT I FROM T") == [(1,)]
            assert running.is_alive()
            proxy.heal()
            running.join(30)
            assert not running.is_alive()


def test_a_lost_reply_makes_the_connector_ask_again_and_the_row_is_there_once(
    snowflake_env: dict[str, str],
) -> None:
    with (
        FaultProxy(int(snowflake_env["SNOWFLAKE_PORT"])) as proxy,
        connect(snowflake_env | {"SNOWFLAKE_PORT": str(proxy.port)}) as client,
    ):
        rows(client, "CREATE TABLE T (I NUMBER(38,0))")
        proxy.behave(hold_replies=b"INSERT INTO T")
        running = threading.Thread(target=rows, args=(client, "INSERT INTO T VALUES (1)"))
        running.start()
        assert proxy.wait_until_holding()
        proxy.reset()
        proxy.heal()
        running.join(60)
        assert not running.is_alive()
        assert rows(client, "SELECT I FROM T") == [(1,)]


def test_one_request_is_refused_or_loses_its_reply_or_waits(proxied: str, to_postgres: FaultProxy) -> None:
    """A refused statement was never executed, one whose reply was lost was; a held one is executed once released.
    Other statements pass, also those that are skipped."""
    with psycopg.connect(proxied, autocommit=True) as connection:
        connection.execute("CREATE TABLE t (i int)")
        to_postgres.behave(refuse_request=b"INSERT INTO t", skip=1)
        connection.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(psycopg.OperationalError):
            connection.execute("INSERT INTO t VALUES (2)")
    with psycopg.connect(proxied, autocommit=True) as connection:
        to_postgres.heal()
        to_postgres.behave(lose_reply=b"INSERT INTO t")
        with pytest.raises(psycopg.OperationalError):
            connection.execute("INSERT INTO t VALUES (3)")
    assert to_postgres.tripped == 2
    with psycopg.connect(proxied, autocommit=True) as connection:
        to_postgres.behave(hold_request=b"INSERT INTO t")
        waiting = threading.Thread(target=connection.execute, args=("INSERT INTO t VALUES (4)",))
        waiting.start()
        assert to_postgres.wait_until_holding()
        with psycopg.connect(proxied) as witness:
            assert witness.execute("SELECT array_agg(i) FROM t").fetchone() == ([1, 3],)
        to_postgres.release()
        waiting.join(30)
        assert connection.execute("SELECT array_agg(i) FROM t").fetchone() == ([1, 3, 4],)
