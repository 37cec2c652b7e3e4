"""A transformation is left out only where it would change nothing."""

from __future__ import annotations

import inspect
import re
from typing import Any

import fakesnow.cursor
import fakesnow.transforms
import pytest
import sqlglot
from fakesnow.instance import FakeSnow

from pgsnow.embedded.snowflake.statements.tree_walks import NODES_OF, NeededWalks, name_of

CLOCK = re.compile(r"\d\d:\d\d:\d\d\.\d+")
"""The time of day at which an object was created."""
STATEMENTS = [
    "SELECT 1",
    "SELECT a, UPPER(b:c), b['x']::varchar, b[0] FROM t WHERE d > DATEADD(day, 1, '2024-01-01'::date)",
    "SELECT TO_DATE('2024-01-01'), TRY_PARSE_JSON(x), PARSE_JSON(y), TO_VARIANT(1), TO_NUMBER('1', 10, 2) FROM t",
    "SELECT ARRAY_AGG(a) WITHIN GROUP (ORDER BY a), OBJECT_AGG(k, v), ARRAY_SIZE(x), RANDOM() FROM t",
    "SELECT SPLIT(a, ','), TRIM(b), REGEXP_REPLACE(c, 'a', 'b'), X'00ff', SHA2(d), CURRENT_VERSION() FROM t SAMPLE (1)",
    "SELECT DATEDIFF(day, '2024-01-01', a), ARRAY_CONSTRUCT(1, 2), OBJECT_CONSTRUCT('a', 1) FROM (VALUES (1)) ",
    "SELECT f.value::varchar FROM t, LATERAL FLATTEN(input => t.a) f",
    "SELECT x::FLOAT, y::TIMESTAMP_NTZ, z::VARIANT, '2024-01-01 00:00:00+02:00'::TIMESTAMP_TZ FROM IDENTIFIER('t')",
    "SELECT * FROM information_schema.columns",
    "CREATE TABLE t (a NUMBER(38,0) NOT NULL, b VARCHAR(10), c VARIANT, d FLOAT) COMMENT = 'x'",
    "CREATE OR REPLACE TRANSIENT TABLE t (a NUMBER(38,0)) DATA_RETENTION_TIME_IN_DAYS=0",
    "CREATE TABLE u CLONE t",
    "CREATE STAGE IF NOT EXISTS s",
    "CREATE SCHEMA s",
    "ALTER TABLE t ADD COLUMN IF NOT EXISTS x VARCHAR",
    "ALTER TABLE t ALTER COLUMN x SET DATA TYPE NUMBER(12,2)",
    "DROP SCHEMA s",
    "DROP TABLE IF EXISTS t",
    "USE SCHEMA s",
    "SHOW TABLES LIKE 'a%' IN SCHEMA s",
    "SHOW SCHEMAS",
    "SHOW PARAMETERS LIKE 'x'",
    "DESCRIBE TABLE t",
    "TRUNCATE TABLE t",
    "INSERT INTO t SELECT a, PARSE_JSON(b) FROM u",
    "INSERT INTO t (a) VALUES (?)",
    "UPDATE t SET a = 1 WHERE b IN (1, 2)",
    "DELETE FROM t USING (SELECT a, MAX(f) AS f FROM t GROUP BY a) AS n WHERE t.a = n.a AND t.f < n.f",
    "PUT file:///tmp/x @s/y AUTO_COMPRESS=FALSE",
    "SET x = 1",
    "BEGIN",
    "COMMIT",
]


@pytest.fixture(scope="module")
def cursor() -> Any:
    connection = FakeSnow().connect("D", "S")
    connection._duck_conn.execute("CREATE TABLE t (a INT)")
    return connection.cursor()


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_statement_is_transformed_as_by_all_walks(cursor: Any, statement: str) -> None:
    stock = fakesnow.cursor.FakeSnowflakeCursor._transform
    tree = sqlglot.parse_one(statement, read="snowflake")
    every = stock(cursor, tree.copy(), None)
    needed = stock(cursor, NeededWalks(tree.copy()), None).tree
    assert CLOCK.sub("", needed.sql(dialect="duckdb")) == CLOCK.sub("", every.sql(dialect="duckdb"))
    assert {k: CLOCK.sub("", str(v)) for k, v in needed.args.items()} == {
        k: CLOCK.sub("", str(v)) for k, v in every.args.items()
    }


def test_every_name_is_one_of_fakesnows_transformations() -> None:
    chain = inspect.getsource(fakesnow.cursor.FakeSnowflakeCursor._transform)
    assert NODES_OF.keys() <= set(re.findall(r"transforms\.(\w+)", chain))


def test_a_lambda_has_the_name_of_what_it_calls() -> None:
    assert name_of(lambda e: fakesnow.transforms.show_schemas(e, "D")) == "show_schemas"
    assert name_of(fakesnow.transforms.tag) == "tag"
    assert name_of(lambda e: e) == ""
