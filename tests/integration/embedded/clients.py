"""The real connector, led to an emulator."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import snowflake.connector

Scenario = Callable[[Any], Any]
"""Works on a connection and returns what a client of the real service would see."""


def settings_of(port: int, database: str) -> dict[str, str]:
    return {
        "SNOWFLAKE_ACCOUNT": "pgsnow",
        "SNOWFLAKE_USER": "pgsnow",
        "SNOWFLAKE_PASSWORD": "pgsnow",
        "SNOWFLAKE_WAREHOUSE": "DEV_WH",
        "SNOWFLAKE_DATABASE": database,
        "SNOWFLAKE_SCHEMA": "PUBLIC",
        "SNOWFLAKE_HOST": "127.0.0.1",
        "SNOWFLAKE_PORT": str(port),
        "SNOWFLAKE_PROTOCOL": "http",
    }


def connect(env: Mapping[str, str], **more: Any) -> Any:
    """A connection as pgsnow makes it: UTC and a query tag."""
    arguments = {
        "account": env["SNOWFLAKE_ACCOUNT"],
        "user": env["SNOWFLAKE_USER"],
        "password": env["SNOWFLAKE_PASSWORD"],
        "warehouse": env["SNOWFLAKE_WAREHOUSE"],
        "database": env["SNOWFLAKE_DATABASE"],
        "schema": env["SNOWFLAKE_SCHEMA"],
        "host": env["SNOWFLAKE_HOST"],
        "port": int(env["SNOWFLAKE_PORT"]),
        "protocol": env["SNOWFLAKE_PROTOCOL"],
        "session_parameters": {"TIMEZONE": "UTC", "QUERY_TAG": "pgsnow"},
        "network_timeout": 30,
        "login_timeout": 30,
    }
    return snowflake.connector.connect(**arguments | more)


def rows(connection: Any, statement: str, params: Any = None) -> list[tuple[Any, ...]]:
    """Runs one statement and fetches all it answers."""
    fetched: list[tuple[Any, ...]] = connection.cursor().execute(statement, params).fetchall()
    return fetched


def run(connection: Any, *statements: str) -> list[tuple[Any, ...]]:
    """Runs statements; what the last one answers."""
    for statement in statements[:-1]:
        connection.cursor().execute(statement)
    return rows(connection, statements[-1])


def attempt(connection: Any, statement: str) -> tuple[int, str] | None:
    """Runs one statement that may fail: (errno, sqlstate) of its failure, None when it works."""
    try:
        connection.cursor().execute(statement)
    except snowflake.connector.Error as error:
        return int(error.errno), str(error.sqlstate)
    return None


def outcome(scenario: Scenario, env: Mapping[str, str], **more: Any) -> Any:
    """The scenario's result on a fresh connection, or (errno, sqlstate) of the error that ends it.

    The timeout is short: an answer of HTTP 500 makes the connector try again until it passes.
    """
    with contextlib.closing(connect(env, **{"network_timeout": 1, **more})) as connection:
        try:
            return scenario(connection)
        except snowflake.connector.Error as error:
            return int(error.errno), str(error.sqlstate)
