"""MERGE and UPDATE answer and do what they do on the real service, whichever way the emulator takes."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import closing
from itertools import product
from typing import Any

import pytest

from tests.integration.embedded.clients import attempt, connect, rows, run
from tests.progress import CEILING

TABLE = "CREATE OR REPLACE TABLE T (I NUMBER(38,0), S VARCHAR, N NUMBER(38,0))"
ROWS = "INSERT INTO T VALUES (1, 'one', 10), (2, 'two', 20), (NULL, 'null', NULL)"
USING = "MERGE INTO T AS t USING (SELECT * FROM (VALUES {values}) AS v (I, S)) AS s ON t.I = s.I "
BOTH = "WHEN MATCHED THEN UPDATE SET t.S = s.S WHEN NOT MATCHED THEN INSERT (I, S) VALUES (s.I, s.S)"
ONE, TWO, NONE = (1, "one", 10), (2, "two", 20), (None, "null", None)

STATEMENTS: dict[str, tuple[str, list[tuple[int, ...]], list[tuple[Any, ...]]]] = {
    "changed and new; what is not named stays": (
        USING.format(values="(1, 'a'), (3, 'c')") + BOTH,
        [(1, 1)],
        [(1, "a", 10), TWO, (3, "c", None), NONE],
    ),
    "NULL matches nothing": (
        USING.format(values="(1, 'a'), (NULL, 'n')") + BOTH,
        [(1, 1)],
        [(1, "a", 10), TWO, (None, "n", None), NONE],
    ),
    "nothing to do": (USING.format(values="(9, 'x')") + "WHEN MATCHED THEN DELETE", [(0,)], [ONE, TWO, NONE]),
    "the first clause that applies": (
        USING.format(values="(1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')")
        + "WHEN MATCHED AND t.N < 15 THEN DELETE WHEN MATCHED THEN UPDATE SET S = s.S, N = t.N + 1 "
        + "WHEN NOT MATCHED AND s.I > 3 THEN INSERT (S, I) VALUES (s.S || '!', s.I)",
        [(1, 1, 1)],
        [(2, "b", 21), (4, "d!", None), NONE],
    ),
    "a condition that is NULL does not apply": (
        USING.format(values="(1, 'a'), (2, 'b')")
        + "WHEN MATCHED AND s.S > IFF(s.I = 1, NULL, 'a') THEN UPDATE SET t.S = s.S",
        [(1,)],
        [ONE, (2, "b", 20), NONE],
    ),
    "a value that only the other clause could not take": (
        USING.format(values="(1, '7'), (3, 'x')")
        + "WHEN MATCHED THEN UPDATE SET t.N = CAST(s.S AS NUMBER(38,0)) "
        + "WHEN NOT MATCHED THEN INSERT (I, N) VALUES (s.I, 0)",
        [(1, 1)],
        [(1, "one", 7), TWO, (3, None, 0), NONE],
    ),
    "two updates, by the stock way": (
        USING.format(values="(1, 'a'), (2, 'b')")
        + "WHEN MATCHED AND t.N < 15 THEN UPDATE SET S = s.S WHEN MATCHED THEN UPDATE SET t.S = s.S",
        [(2,)],
        [(1, "a", 10), (2, "b", 20), NONE],
    ),
    "an update": (
        "UPDATE T SET S = S || '!', N = NULL WHERE I >= 2",
        [(1, 0)],
        [ONE, (2, "two!", None), NONE],
    ),
    "an update by a query": (
        "UPDATE T SET N = (SELECT MAX(N) FROM T) WHERE I IN (SELECT MIN(I) FROM T)",
        [(1, 0)],
        [(1, "one", 20), TWO, NONE],
    ),
    "an update of everything": (
        "UPDATE T AS x SET N = 0",
        [(3, 0)],
        [(1, "one", 0), (2, "two", 0), (None, "null", 0)],
    ),
}


def test_counts_and_rows(snowflake_env: Mapping[str, str]) -> None:
    with closing(connect(snowflake_env)) as connection:
        for name, (statement, counts, after) in STATEMENTS.items():
            run(connection, TABLE, ROWS)
            cursor = connection.cursor().execute(statement)
            assert [tuple(map(int, row)) for row in cursor.fetchall()] == counts, name
            assert cursor.rowcount == sum(counts[0]), name
            assert rows(connection, "SELECT * FROM T ORDER BY I, S") == after, name


def test_a_merge_of_bound_values(snowflake_env: Mapping[str, str]) -> None:
    """Rows of question marks in its source are cast and compared as values of a statement's text are."""
    source = "SELECT column1::NUMBER(38,0) AS I, column2::VARCHAR AS S FROM VALUES (?, ?), (?, ?), (?, ?)"
    merge = f"MERGE INTO T AS t USING ({source}) AS s ON t.I = s.I {BOTH}"
    texts = ("1", "it's\\", "12345678901234567890123", None, "3", "")
    with closing(connect(snowflake_env, paramstyle="qmark")) as connection:
        run(connection, TABLE, ROWS)
        assert rows(connection, merge, tuple(("TEXT", text) for text in texts)) == [(2, 1)]
        found = rows(connection, "SELECT I, S FROM T WHERE N IS NULL OR I = 1 ORDER BY I")
        assert found == [(1, "it's\\"), (3, ""), (12345678901234567890123, None), (None, "null")]


def test_a_default_is_for_new_rows_alone(snowflake_env: Mapping[str, str]) -> None:
    with closing(connect(snowflake_env)) as connection:
        run(connection, "CREATE TABLE T (I NUMBER(38,0), S VARCHAR, N NUMBER(38,0) DEFAULT 5)", ROWS)
        run(connection, USING.format(values="(1, 'a'), (3, 'c')") + BOTH)
        expected = [(1, "a", 10), TWO, (3, "c", 5), NONE]
        assert rows(connection, "SELECT * FROM T ORDER BY I, S") == expected


def test_a_column_may_have_the_name_of_the_engines_row_number(snowflake_env: Mapping[str, str]) -> None:
    with closing(connect(snowflake_env)) as connection:
        run(connection, "CREATE TABLE T (ROWID NUMBER(38,0), S VARCHAR)")
        run(connection, "INSERT INTO T VALUES (1, 'one'), (1, 'uno'), (2, 'two')")
        run(connection, "UPDATE T SET S = 'x' WHERE S = 'uno'")
        assert rows(connection, "SELECT * FROM T ORDER BY ROWID, S") == [(1, "one"), (1, "x"), (2, "two")]


@pytest.mark.parametrize("clause", ["THEN DELETE", "AND s.S = 'a' THEN UPDATE SET t.S = s.S"])
def test_two_source_rows_for_one_row(clause: str, snowflake_env: Mapping[str, str]) -> None:
    """Refused for what would change the row twice, and not for a row that no clause applies to."""
    merge = USING.format(values="(1, 'a'), (1, '{other}')") + f"WHEN MATCHED {clause}"
    with closing(connect(snowflake_env)) as connection:
        run(connection, TABLE, ROWS)
        assert attempt(connection, merge.format(other="a")) == (100090, "42P18")
        assert rows(connection, "SELECT * FROM T ORDER BY I") == [ONE, TWO, NONE]
        if "UPDATE" in clause:
            assert attempt(connection, merge.format(other="b")) is None
            assert rows(connection, "SELECT S FROM T WHERE I = 1") == [("a",)]


def test_what_is_not_there_is_told(snowflake_env: Mapping[str, str]) -> None:
    errors = {
        "UPDATE NO_SUCH_TABLE SET I = 1": (2003, "42S02"),
        "UPDATE T SET S = NO_SUCH_COLUMN": (904, "42000"),
        "UPDATE T SET NO_SUCH_COLUMN = 1": (904, "42000"),
        USING.format(values="(1, 'a')") + "WHEN MATCHED THEN UPDATE SET t.S = s.Q": (904, "42000"),
    }
    with closing(connect(snowflake_env)) as connection:
        run(connection, TABLE, ROWS)
        assert {statement: attempt(connection, statement) for statement in errors} == errors
        assert rows(connection, "SELECT COUNT(*) FROM T") == [(3,)]


CHANGES = {
    "UPDATE": "UPDATE T SET {column} = '{value}' WHERE I = 1",
    "DELETE": "DELETE FROM T WHERE I = 1 AND {column} <> '{value}'",
    "MERGE": USING.format(values="(1, '{value}')") + "WHEN MATCHED THEN UPDATE SET t.{column} = s.S",
}


def test_two_changes_of_one_row_take_turns(snowflake_env: Mapping[str, str]) -> None:
    """Also of different columns. The second one sees what the first one did."""
    with closing(connect(snowflake_env)) as holder, closing(connect(snowflake_env)) as waiter:
        for first, second in product(CHANGES, CHANGES):
            kept = [] if "DELETE" in (first, second) else [("first", "second")]
            assert changed_in_turn(holder, waiter, first, second) == kept, (first, second)


def changed_in_turn(holder: Any, waiter: Any, first: str, second: str) -> list[tuple[Any, ...]]:
    """The rows after both changes, the second of which waits for the first."""
    run(
        holder,
        "CREATE OR REPLACE TABLE T (I NUMBER(38,0), A VARCHAR, B VARCHAR)",
        "INSERT INTO T VALUES (1, '', '')",
    )
    run(holder, "BEGIN", CHANGES[first].format(column="A", value="first"))
    statement = CHANGES[second].format(column="B", value="second")
    failures: list[Any] = []
    later = threading.Thread(target=lambda: failures.append(attempt(waiter, statement)))
    later.start()
    later.join(0.3)
    assert later.is_alive()
    run(holder, "COMMIT")
    later.join(CEILING)
    assert failures == [None], (first, second)
    return rows(holder, "SELECT A, B FROM T")


def test_an_update_without_autocommit_waits_for_the_commit(snowflake_env: Mapping[str, str]) -> None:
    with (
        closing(connect(snowflake_env)) as reader,
        closing(connect(snowflake_env, autocommit=False)) as writer,
    ):
        run(reader, TABLE, ROWS)
        assert attempt(writer, "UPDATE T SET S = 'x' WHERE I = 1") is None
        assert rows(reader, "SELECT S FROM T WHERE I = 1") == [("one",)]
        run(writer, "COMMIT")
        assert rows(reader, "SELECT S FROM T WHERE I = 1") == [("x",)]
