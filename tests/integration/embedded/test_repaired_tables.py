"""SHOW TABLES says of a table what Snowflake does, whatever became of the table. Each scenario deviates on the stock
emulator: once it does not, its repair can go."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import snowflake.connector

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


def clustering(connection: Any) -> Any:
    """By table: kind, clustering key and days of time travel, after statements that change them."""
    run(
        connection,
        'CREATE TRANSIENT TABLE T (I INT, "a b" INT) CLUSTER BY (I, "a b") DATA_RETENTION_TIME_IN_DAYS=0',
        "CREATE TABLE U (I INT, D TIMESTAMP_NTZ) CLUSTER BY (TO_DATE(D), I)",
        "CREATE TABLE W (I INT)",
        "CREATE TABLE C CLONE U",
        "ALTER TABLE U DROP CLUSTERING KEY",
        "ALTER TABLE W CLUSTER BY (I)",
        "ALTER TABLE W SET DATA_RETENTION_TIME_IN_DAYS = 7",
        'ALTER TABLE T RENAME COLUMN "a b" TO B',
    )
    wanted = ("kind", "cluster_by", "retention_time")
    cursor = connection.cursor(snowflake.connector.DictCursor).execute("SHOW TABLES")
    return {row["name"]: tuple(row[name] for name in wanted) for row in cursor.fetchall()}


def test_tables_show_how_they_are_stored(
    snowflake_env: Mapping[str, str], stock_env: Mapping[str, str]
) -> None:
    """The clustering key stands as it was written."""
    expected = {
        "T": ("TRANSIENT", 'LINEAR(I, "B")', "0"),
        "U": ("TABLE", "", "1"),
        "W": ("TABLE", "LINEAR(I)", "7"),
        "C": ("TABLE", "LINEAR(TO_DATE(D), I)", "1"),
    }
    assert outcome(clustering, snowflake_env) == expected
    assert outcome(clustering, stock_env) != expected


def test_a_clustering_key_has_columns_of_the_table(snowflake_env: Mapping[str, str]) -> None:
    """An unknown column is an error, and a column of the key cannot be dropped."""
    with contextlib.closing(connect(snowflake_env)) as connection:
        assert attempt(connection, "CREATE TABLE T (I INT) CLUSTER BY (NO_SUCH)") == (904, "42000")
        run(connection, "CREATE TRANSIENT TABLE T (I INT, J INT) CLUSTER BY (I)")
        assert attempt(connection, "ALTER TABLE T CLUSTER BY (NO_SUCH)") == (904, "42000")
        assert attempt(connection, "ALTER TABLE T DROP COLUMN I") is not None
        assert attempt(connection, "ALTER TABLE T DROP COLUMN J") is None
        assert attempt(connection, "ALTER TABLE T SET DATA_RETENTION_TIME_IN_DAYS = 2") == (1008, "22023")


def test_warehouses_are_shown_with_their_settings(snowflake_env: Mapping[str, str]) -> None:
    """As CREATE and ALTER WAREHOUSE set them."""
    name = f"WH_{snowflake_env['SNOWFLAKE_DATABASE']}"
    with contextlib.closing(connect(snowflake_env)) as connection:
        options = "WAREHOUSE_SIZE = XSMALL AUTO_SUSPEND = 30 INITIALLY_SUSPENDED = TRUE"
        run(connection, f"CREATE WAREHOUSE IF NOT EXISTS {name} {options}")
        run(connection, f"CREATE WAREHOUSE IF NOT EXISTS {name} AUTO_SUSPEND = 600")
        run(connection, f"ALTER WAREHOUSE {name} SET RESOURCE_MONITOR = M")
        cursor = connection.cursor(snowflake.connector.DictCursor)
        found = cursor.execute(f"SHOW WAREHOUSES LIKE '{name.lower()}'").fetchall()
        assert rows(connection, "SHOW WAREHOUSES LIKE 'DEV\\\\_WH'")[0][:2] == ("DEV_WH", "STARTED")
    wanted = ("name", "state", "size", "auto_suspend", "auto_resume", "resource_monitor")
    assert [tuple(row[each] for each in wanted) for row in found] == [
        (name, "SUSPENDED", "X-Small", 30, "true", "M")
    ]
