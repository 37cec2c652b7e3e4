"""Sessions that expire, and whose statements have query tags."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import pytest

from pgsnow.embedded.snowflake import EmbeddedSnowflake
from tests.integration.embedded.clients import attempt, connect, rows, run


def test_the_journal_has_the_query_tag_of_each_statement(
    snowflake_env: Mapping[str, str], emulator: EmbeddedSnowflake
) -> None:
    """That of the statement, or else that of the session, which ALTER SESSION changes."""
    before = emulator.noted()
    with contextlib.closing(connect(snowflake_env)) as connection:
        connection.cursor().execute("SELECT 1", _statement_params={"QUERY_TAG": "pgsnow:orders:1"})
        run(connection, "SELECT 2", "ALTER SESSION SET QUERY_TAG = 'other'", "SELECT 3")
        noted = emulator.stats(after=before, containing="SELECT")["statements"]
    assert [(each["text"], each["tag"]) for each in noted] == [
        ("SELECT 1", "pgsnow:orders:1"),
        ("SELECT 2", "pgsnow"),
        ("SELECT 3", "other"),
    ]
    assert len({each["session"] for each in noted}) == 1


def test_an_expired_token_is_renewed_without_a_login(
    snowflake_env: Mapping[str, str], emulator: EmbeddedSnowflake
) -> None:
    """The connector does it; the session keeps its state."""
    with contextlib.closing(connect(snowflake_env)) as connection:
        run(connection, "CREATE SCHEMA OTHER", "USE SCHEMA OTHER")
        before = emulator.connections()
        assert emulator.expire(snowflake_env["SNOWFLAKE_DATABASE"]) == 1
        assert rows(connection, "SELECT CURRENT_SCHEMA()") == [("OTHER",)]
        assert emulator.connections() == before


@pytest.mark.parametrize(("what", "errno"), [("login", 390114), ("session", 390111)])
def test_a_session_that_is_gone_needs_a_login(
    snowflake_env: Mapping[str, str], emulator: EmbeddedSnowflake, what: str, errno: int
) -> None:
    """As after a sleep of hours; the statement has not run."""
    with contextlib.closing(connect(snowflake_env)) as connection:
        emulator.expire(snowflake_env["SNOWFLAKE_DATABASE"], what)
        assert failure(connection, "CREATE TABLE T (I NUMBER(38,0))") == errno
    with contextlib.closing(connect(snowflake_env)) as connection:
        assert attempt(connection, "CREATE TABLE T (I NUMBER(38,0))") is None


def failure(connection: Any, statement: str) -> int:
    found = attempt(connection, statement)
    return 0 if found is None else found[0]
