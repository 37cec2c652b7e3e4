"""The servers that the other tests stand on are real."""

from __future__ import annotations

import psycopg
import pytest
import snowflake.connector

from pgsnow.embedded.broker import EmbeddedBroker
from pgsnow.embedded.snowflake import EmbeddedSnowflake
from tests.integration.embedded.clients import connect


def test_every_test_has_an_empty_postgres_database(database: str) -> None:
    with psycopg.connect(database) as connection:
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
        prepared = connection.execute("SHOW max_prepared_transactions").fetchone()
    assert tables == (0,)
    assert prepared == ("50",)


def test_every_test_has_an_empty_snowflake_database(snowflake_env: dict[str, str]) -> None:
    with connect(snowflake_env) as connection:
        tables = connection.cursor().execute("SHOW TABLES").fetchall()
        where = connection.cursor().execute("SELECT CURRENT_DATABASE(), CURRENT_SCHEMA()").fetchone()
    assert tables == []
    assert where == (snowflake_env["SNOWFLAKE_DATABASE"], "PUBLIC")


def test_the_emulator_counts_logins_and_statements(
    emulator: EmbeddedSnowflake, snowflake_env: dict[str, str]
) -> None:
    before = emulator.connections()
    with connect(snowflake_env) as connection:
        connection.cursor().execute("SELECT 'seen from the server'")
        assert emulator.sessions() >= 1
    assert emulator.connections() == before + 1
    assert emulator.statements("seen from the server") == ["SELECT 'seen from the server'"]


def test_failed_statements_are_noted_with_their_number(
    emulator: EmbeddedSnowflake, snowflake_env: dict[str, str]
) -> None:
    with connect(snowflake_env) as connection, pytest.raises(snowflake.connector.ProgrammingError):
        connection.cursor().execute("SELECT * FROM NOT_HERE_AT_ALL")
    last = emulator.stats(containing="not_here_at_all")["statements"]
    assert [entry["error"] for entry in last] == [2003]


def test_the_broker_answers(broker: EmbeddedBroker) -> None:
    import redis

    with redis.Redis.from_url(broker.url) as client:
        client.lpush("queue", "task")
        assert client.rpop("queue") == b"task"
