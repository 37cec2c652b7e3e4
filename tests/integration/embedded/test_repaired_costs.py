"""Repairs that only save time: what a client is told of columns is what the stock emulator tells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from snowflake.connector.errors import ProgrammingError

from tests.integration.embedded.clients import connect, rows

TABLE = """
CREATE TABLE T (
    I NUMBER(38,0) NOT NULL, N NUMBER(12,2) DEFAULT 1.5, S VARCHAR, V VARCHAR(20) DEFAULT 'it''s', F FLOAT, B BINARY,
    O BOOLEAN, D DATE, H TIME(9), A TIMESTAMP_NTZ(9), Z TIMESTAMP_TZ(9), J VARIANT, "in Quotes" VARCHAR
)
"""
STATEMENTS = [
    'SELECT N, S, V, F, B, O, D, H, A, Z, J, "in Quotes" FROM T',
    "SELECT COUNT(*), SUM(N) AS TOTAL, MAX(D), MIN(S) FROM T",
    "SELECT 1.25 AS A, 'x' AS B, NULL AS C",
    "SHOW VIEWS",
    "DESCRIBE TABLE T",
    "INSERT INTO T (I, N) VALUES (1, 2)",
    "UPDATE T SET N = 3",
    "DELETE FROM T",
    "MERGE INTO T USING (SELECT 1 AS I) AS S ON T.I = S.I WHEN NOT MATCHED THEN INSERT (I) VALUES (S.I)",
    "ALTER TABLE T ADD COLUMN X VARCHAR",
    "TRUNCATE TABLE T",
    "DROP TABLE T",
]


def descriptions(env: Mapping[str, str]) -> dict[str, list[tuple[Any, ...]]]:
    """By statement: name, type, sizes and nullability of each column of its result."""
    with connect(env) as connection:
        connection.cursor().execute(TABLE)
        return {
            text: [tuple(column) for column in connection.cursor().execute(text).description]
            for text in STATEMENTS
        }


@pytest.mark.thorough
def test_results_are_described_as_by_the_stock_emulator(
    snowflake_env: Mapping[str, str], stock_env: Mapping[str, str]
) -> None:
    assert descriptions(snowflake_env) == descriptions(stock_env)


@pytest.mark.thorough
def test_bound_values_are_described_as_by_the_stock_emulator(
    snowflake_env: Mapping[str, str], stock_env: Mapping[str, str]
) -> None:
    found = []
    for env in (snowflake_env, stock_env):
        with connect(env, paramstyle="qmark") as connection:
            cursor = connection.cursor().execute("SELECT ? AS I, ? AS S", (1, "x"))
            found.append(cursor.description)
    assert found[0] == found[1]


@pytest.mark.thorough
@pytest.mark.parametrize("statement", ["DESCRIBE TABLE T", "DESC TABLE PUBLIC.T", "DESCRIBE VIEW V"])
def test_describe_table_answers_as_the_stock_emulator(
    statement: str, snowflake_env: Mapping[str, str], stock_env: Mapping[str, str]
) -> None:
    found = []
    for env in (snowflake_env, stock_env):
        with connect(env) as connection:
            connection.cursor().execute(TABLE)
            connection.cursor().execute("CREATE VIEW V AS SELECT * FROM T")
            found.append(rows(connection, statement))
    assert found[0] == found[1]
    assert len(found[0]) == 13


def test_a_missing_table_is_an_error(snowflake_env: Mapping[str, str]) -> None:
    with connect(snowflake_env) as connection, pytest.raises(ProgrammingError, match="does not exist"):
        rows(connection, "DESCRIBE TABLE NOWHERE")
