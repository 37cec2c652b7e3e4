"""Logins, lost replies, forgotten clients and data on disk. The stock emulator deviates in each."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import snowflake.connector

from pgsnow.embedded.snowflake import EmbeddedSnowflake
from pgsnow.testing.proxy import FaultProxy
from tests.integration.embedded.clients import attempt, connect, rows, run
from tests.integration.embedded.conftest import StockEmulator
from tests.progress import CEILING, wait_until


def login(env: Mapping[str, str], **more: Any) -> int | None:
    """The errno of a login that is refused, None for one that works."""
    try:
        connect(env, **more).close()
    except snowflake.connector.Error as error:
        return int(error.errno)
    return None


def test_a_wrong_password_is_refused(snowflake_env: Mapping[str, str]) -> None:
    refused = 390100
    assert login(snowflake_env) is None
    assert login(snowflake_env, password="not it") == refused
    assert login(snowflake_env, user="somebody_else", password="anything") is None


@pytest.mark.thorough
def test_the_stock_emulator_takes_any_password(stock_env: Mapping[str, str]) -> None:
    assert login(stock_env, password="not it") is None


def insert_with_a_lost_reply(env: Mapping[str, str]) -> Any:
    with (
        FaultProxy(int(env["SNOWFLAKE_PORT"])) as proxy,
        connect({**env, "SNOWFLAKE_PORT": str(proxy.port)}) as client,
    ):
        rows(client, "CREATE TABLE T (I NUMBER(38,0))")
        proxy.behave(hold_replies=b"INSERT INTO T")
        insert = threading.Thread(target=rows, args=(client, "INSERT INTO T VALUES (1)"))
        insert.start()
        assert proxy.wait_until_holding()
        proxy.reset()
        proxy.heal()
        insert.join(60)
        return rows(client, "SELECT I FROM T")


def test_a_statement_sent_again_after_a_lost_reply_runs_once(
    snowflake_env: Mapping[str, str], stock_env: Mapping[str, str]
) -> None:
    assert insert_with_a_lost_reply(snowflake_env) == [(1,)]
    assert insert_with_a_lost_reply(stock_env) == [(1,), (1,)]


def test_a_client_that_logs_out_loses_its_transaction(snowflake_env: Mapping[str, str]) -> None:
    with connect(snowflake_env) as gone:
        run(gone, "CREATE TABLE T (I NUMBER(38,0))", "BEGIN", "INSERT INTO T VALUES (1)")
    with connect(snowflake_env) as other:
        assert rows(other, "SELECT I FROM T") == []


def answers_of_threads(env: Mapping[str, str]) -> list[tuple[int, int]]:
    """What eight threads that share a session have asked for, and what they got."""
    with connect(env) as shared, ThreadPoolExecutor(8) as pool:
        rows(shared, "CREATE TABLE T AS SELECT 1 AS I")
        asked = range(64)
        queries = (f"SELECT {i} AS N, COUNT(*) AS C FROM T WHERE I < {i + 2}" for i in asked)
        found = pool.map(lambda query: rows(shared, query)[0][0], queries)
        return list(zip(asked, found, strict=True))


def test_threads_that_share_a_session_get_their_own_results(snowflake_env: Mapping[str, str]) -> None:
    """The real service runs several statements of one session at the same time."""
    assert all(asked == got for asked, got in answers_of_threads(snowflake_env))


def test_a_transaction_takes_in_what_other_threads_of_the_session_do(
    snowflake_env: Mapping[str, str],
) -> None:
    """As on the real service, which is why pgsnow gives a transaction a session of its own."""
    with connect(snowflake_env) as shared:
        run(shared, "CREATE TABLE T (I NUMBER(38,0))", "BEGIN")
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda i: rows(shared, f"INSERT INTO T VALUES ({i})"), range(8)))
        run(shared, "ROLLBACK")
        assert rows(shared, "SELECT I FROM T") == []


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[EmbeddedSnowflake]:
    with EmbeddedSnowflake(tmp_path / "snowflake", idle_seconds=0.5) as server:
        server.create_database("D")
        yield server


def update_after_a_lost_client(env: Mapping[str, str], *, patience: float) -> tuple[int, str] | None:
    """A client dies in its transaction; another one waits for the row."""
    lost = connect(env)
    run(lost, "CREATE TABLE T (I NUMBER(38,0))", "INSERT INTO T VALUES (1)", "BEGIN", "UPDATE T SET I = 2")
    with connect(env, network_timeout=patience) as other:
        answer = attempt(other, "UPDATE T SET I = 3")
    assert attempt(lost, "COMMIT") is not None or answer is not None
    return answer


def test_the_transaction_of_a_lost_client_ends(
    impatient: EmbeddedSnowflake, stock_env: Mapping[str, str]
) -> None:
    """And its COMMIT, should it come back, is refused."""
    assert update_after_a_lost_client(impatient.settings_env("D"), patience=CEILING) is None
    assert update_after_a_lost_client(stock_env, patience=2) is not None


def test_data_and_stages_survive_a_restart_and_a_crash(tmp_path: Path) -> None:
    """Rows are written until the server is killed under the writer: every acknowledged one is there."""
    server = EmbeddedSnowflake(tmp_path / "snowflake").start()
    env = server.settings_env("D")
    try:
        fill(env, server, tmp_path)
        server.stop()
        server.start()
        assert look(env) == ([(1,)], ["st/b/part.parquet"], [(2,)])
        acknowledged: list[int] = []
        writer = threading.Thread(target=write_until_it_fails, args=(env, acknowledged))
        writer.start()
        wait_until(lambda: len(acknowledged) >= 20, "rows are acknowledged")
        server.kill()
        server.start()
        writer.join(CEILING)
        assert look(env) == ([(1,)], ["st/b/part.parquet"], [(2,)])
        with connect(env) as connection:
            assert set(acknowledged) <= {row[0] for row in rows(connection, "SELECT I FROM W")}
    finally:
        server.kill()


def fill(env: Mapping[str, str], server: EmbeddedSnowflake, folder: Path) -> None:
    server.create_database("D")
    pq.write_table(pa.table({"I": [1, 2]}), folder / "part.parquet")
    with connect(env) as connection:
        run(
            connection,
            "CREATE TABLE T (I NUMBER(38,0))",
            "CREATE TABLE U (I NUMBER(38,0), S VARCHAR(10))",
            "CREATE TABLE W (I NUMBER(38,0))",
            "INSERT INTO T VALUES (1)",
            "CREATE STAGE ST",
            f"PUT file://{folder}/part.parquet @ST/b/ AUTO_COMPRESS=FALSE",
        )


def look(env: Mapping[str, str]) -> Any:
    with connect(env) as connection:
        files = [row[0] for row in rows(connection, "LIST @ST/b/")]
        copy = "COPY INTO U FROM @ST/b/ FILE_FORMAT=(TYPE=PARQUET) MATCH_BY_COLUMN_NAME=CASE_INSENSITIVE"
        run(connection, copy)  # the second time it finds that the file was loaded
        return rows(connection, "SELECT I FROM T"), files, rows(connection, "SELECT COUNT(*) FROM U")


@pytest.mark.thorough
def test_the_stock_emulator_forgets_all(stock: StockEmulator, stock_env: Mapping[str, str]) -> None:
    with connect(stock_env) as connection:
        run(connection, "CREATE TABLE T (I NUMBER(38,0))")
    stock.kill()
    stock.start()
    with connect(stock_env) as connection:
        assert attempt(connection, "SELECT I FROM T") == (2003, "42S02")


def write_until_it_fails(env: Mapping[str, str], acknowledged: list[int]) -> None:
    """Ends with the session, which the server no longer knows after its restart."""
    with contextlib.suppress(snowflake.connector.Error):
        connection = connect(env)
        for number in range(100_000):
            run(connection, f"INSERT INTO W VALUES ({number})")
            acknowledged.append(number)


def test_one_directory_has_one_emulator(emulator: EmbeddedSnowflake) -> None:
    from pgsnow.embedded.process import EmbeddedServerFailed

    with pytest.raises(EmbeddedServerFailed, match="in use by process"):
        EmbeddedSnowflake(emulator.data_dir).start()
