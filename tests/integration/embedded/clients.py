"""The real connector, led to an emulator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import snowflake.connector


def connect(env: Mapping[str, str], **more: Any) -> Any:
    """A connection as pgsnow makes it: UTC, one query tag, no telemetry."""
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
