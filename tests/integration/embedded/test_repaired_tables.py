"""SHOW TABLES says of a table what Snowflake does, whatever became of the table. Each scenario deviates on the stock
emulator: once it does not, its repair can go."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.integration.embedded.clients import attempt, connect, outcome, rows, run

SHOWN = ("name", "created_on", "rows", "comment", "kind")


def shown(connection: Any, like: str = "%") -> dict[str, tuple[Any, ...]]:
    """Name of each table of the schema → the rest of SHOWN."""
    cursor = connection.cursor().execute(f"SHOW TABLES LIKE '{like}' IN SCHEMA PUBLIC")
    at = [[column[0] for column in cursor.description].index(name) for name in SHOWN]
    return {row[at[0]]: tuple(row[i] for i in at[1:]) for row in cursor.fetchall()}


def creations(connection: Any) -> dict[str, Any]:
    return {name: row[0] for name, row in shown(connection).items()}


def rows_and_comment(connection: Any) -> Any:
    run(
        connection,
        "CREATE TRANSIENT TABLE T (I INT) COMMENT = 'it''s'",
        "INSERT INTO T VALUES (1), (2), (3)",
        "DELETE FROM T WHERE I = 2",
    )
    return shown(connection)["T"][1:]


def same_after_alterations(connection: Any) -> Any:
    run(connection, "CREATE TABLE T (I INT)")
    before = creations(connection)["T"]
    run(
        connection,
        "ALTER TABLE T ADD COLUMN V VARCHAR",
        "INSERT INTO T VALUES (1, 'a')",
        "INSERT OVERWRITE INTO T VALUES (2, 'b')",
        "TRUNCATE TABLE T",
        "ALTER TABLE T DROP COLUMN V",
        "COMMENT ON TABLE T IS 'x'",
        "CREATE TABLE IF NOT EXISTS T (I INT)",
        "ALTER TABLE T RENAME TO U",
    )
    after, comment = shown(connection)["U"][0], shown(connection)["U"][2]
    return before == after and before.year > 2000, comment


def another_table(*statements: str) -> Callable[[Any], Any]:
    """A scenario: is it another table under the name T after these statements, and does it have a comment?"""

    def scenario(connection: Any) -> Any:
        run(connection, "CREATE TABLE T (I INT)", "COMMENT ON TABLE T IS 'x'", "CREATE TABLE O (I INT)")
        before = creations(connection)["T"]
        run(connection, *statements)
        created_on, _, comment, _ = shown(connection)["T"]
        return created_on != before, comment

    return scenario


def wildcards(connection: Any) -> Any:
    run(connection, "CREATE TABLE A_B (I INT)", "CREATE TABLE AXB (I INT)", 'CREATE TABLE "a%b" (I INT)')
    return [sorted(shown(connection, like)) for like in (r"a\\_b", r"A\\%B", "a_b", "none")]


@pytest.mark.parametrize(
    ("scenario", "expected"),
    [
        (rows_and_comment, (2, "it's", "TRANSIENT")),
        (same_after_alterations, (True, "x")),
        (another_table("CREATE OR REPLACE TABLE T (I INT)"), (True, "")),
        (another_table("DROP TABLE T", "CREATE TABLE T (I INT)"), (True, "")),
        (another_table("CREATE OR REPLACE TABLE T CLONE T"), (True, "x")),
        (another_table("ALTER TABLE T SWAP WITH O"), (True, "")),
        (another_table("ALTER TABLE T RENAME TO P", "ALTER TABLE O RENAME TO T"), (True, "")),
        (wildcards, [["A_B"], ["a%b"], ["AXB", "A_B", "a%b"], []]),
    ],
)
def test_show_tables(
    scenario: Callable[[Any], Any],
    expected: Any,
    snowflake_env: Mapping[str, str],
    stock_env: Mapping[str, str],
) -> None:
    assert outcome(scenario, snowflake_env) == expected
    assert outcome(scenario, stock_env) != expected


def test_a_table_that_exists_is_not_a_table_that_is_missing(
    snowflake_env: Mapping[str, str], stock_env: Mapping[str, str]
) -> None:
    def scenario(connection: Any) -> Any:
        run(connection, "CREATE TABLE T (I INT)")
        return attempt(connection, "CREATE TABLE T (I INT)"), attempt(
            connection, "SHOW TABLES IN SCHEMA NONE"
        )

    assert outcome(scenario, snowflake_env) == ((2002, "42710"), (2043, "02000"))
    assert outcome(scenario, stock_env) != ((2002, "42710"), (2043, "02000"))


def test_terse_output_and_wider_scopes(snowflake_env: Mapping[str, str]) -> None:
    with contextlib.closing(connect(snowflake_env)) as connection:
        run(connection, "CREATE TABLE T (I INT)", "CREATE SCHEMA S", "CREATE TABLE S.U (I INT)")
        database = snowflake_env["SNOWFLAKE_DATABASE"]
        assert [row[1:] for row in rows(connection, f"SHOW TERSE TABLES IN DATABASE {database}")] == [
            ("T", "TABLE", database, "PUBLIC"),
            ("U", "TABLE", database, "S"),
        ]
