"""Statements and transactions are all or nothing, and wait for one another. Each scenario deviates on the stock
emulator: once it does not, its repair can go."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.integration.embedded.clients import Scenario, attempt, connect, outcome, rows, run
from tests.progress import CEILING

MERGE = (
    "MERGE INTO T AS t USING ({source}) AS s ON t.I = s.I"
    " WHEN MATCHED THEN UPDATE SET t.S = s.S WHEN NOT MATCHED THEN INSERT (I, S) VALUES (s.I, s.S)"
)


def merge_that_fails_in_its_middle(connection: Any) -> Any:
    run(connection, "CREATE TABLE T (I NUMBER(38,0), S VARCHAR NOT NULL)", "INSERT INTO T VALUES (1, 'old')")
    failed = attempt(connection, MERGE.format(source="SELECT 1 AS I, 'new' AS S UNION ALL SELECT 2, NULL"))
    return failed, rows(connection, "SELECT * FROM T")


def merge_in_a_transaction(connection: Any) -> Any:
    return run(
        connection,
        "CREATE TABLE T (I NUMBER(38,0), S VARCHAR)",
        "BEGIN",
        MERGE.format(source="SELECT 1 AS I, CAST('a' AS VARCHAR(10)) AS S"),
        "COMMIT",
        "SELECT * FROM T",
    )


def ddl_in_a_transaction(connection: Any) -> Any:
    return run(
        connection,
        "CREATE TABLE T (I NUMBER(38,0))",
        "BEGIN",
        "INSERT INTO T VALUES (1)",
        "CREATE TABLE U (I NUMBER(38,0))",
        "ROLLBACK",
        "SELECT (SELECT COUNT(*) FROM T), (SELECT COUNT(*) FROM U)",
    )


def begin_twice(connection: Any) -> Any:
    return run(
        connection,
        "CREATE TABLE T (I NUMBER(38,0))",
        "BEGIN",
        "INSERT INTO T VALUES (1)",
        "BEGIN",
        "COMMIT",
        "SELECT * FROM T",
    )


CASES: list[tuple[Scenario, Any]] = [
    (merge_that_fails_in_its_middle, ((100072, "22000"), [(1, "old")])),
    (merge_in_a_transaction, [(1, "a")]),
    (ddl_in_a_transaction, [(1, 0)]),
    (begin_twice, [(1,)]),
]
each = pytest.mark.parametrize(("scenario", "real"), CASES, ids=[case[0].__name__ for case in CASES])


@each
def test_as_on_snowflake(scenario: Scenario, real: Any, snowflake_env: Mapping[str, str]) -> None:
    assert outcome(scenario, snowflake_env) == real


@pytest.mark.thorough
@each
def test_the_stock_emulator_deviates(scenario: Scenario, real: Any, stock_env: Mapping[str, str]) -> None:
    assert outcome(scenario, stock_env) != real


def commit_after_an_error(connection: Any) -> tuple[bool, Any]:
    """Whether COMMIT said that it worked, and what is there then."""
    run(connection, "CREATE TABLE T (I NUMBER(38,0))", "BEGIN", "INSERT INTO T VALUES (1)")
    attempt(connection, "SELECT CAST('x' AS NUMBER(38,0))")
    committed = attempt(connection, "COMMIT") is None
    attempt(connection, "ROLLBACK")
    return committed, rows(connection, "SELECT * FROM T")


def test_a_commit_never_says_yes_to_what_is_lost(
    snowflake_env: Mapping[str, str], stock_env: Mapping[str, str]
) -> None:
    """The real service would answer (True, [(1,)]); the emulator refuses, the stock one lies."""
    assert outcome(commit_after_an_error, snowflake_env) == (False, [])
    assert outcome(commit_after_an_error, stock_env) == (True, [])


def update_against(env: Mapping[str, str], holder_ends: str, *, after: float | None, **more: Any) -> Any:
    """One session updates the row that another session's open transaction has updated; that one ends `after` so
    many seconds, or when the update has given up."""
    with connect(env) as holder, connect(env, **more) as waiter:
        run(holder, "CREATE TABLE T (I NUMBER(38,0), S VARCHAR)", "INSERT INTO T VALUES (1, '')")
        run(holder, "BEGIN", "UPDATE T SET S = S || 'a'")
        answers: list[Any] = []
        update = threading.Thread(target=lambda: answers.append(attempt(waiter, "UPDATE T SET S = S || 'b'")))
        update.start()
        update.join(after)
        run(holder, holder_ends)
        update.join(CEILING)
        return answers[0], rows(holder, "SELECT S FROM T")


@pytest.mark.parametrize(("holder_ends", "real"), [("COMMIT", "ab"), ("ROLLBACK", "b")])
def test_a_write_waits_for_the_transaction_in_its_way(
    holder_ends: str, real: str, snowflake_env: Mapping[str, str]
) -> None:
    assert update_against(snowflake_env, holder_ends, after=0.3) == (None, [(real,)])


@pytest.mark.thorough
def test_on_the_stock_emulator_it_fails_at_once(stock_env: Mapping[str, str]) -> None:
    """With HTTP 500, so that a patient connector hides it by sending the statement again and again."""
    failure, _ = update_against(stock_env, "COMMIT", after=None, network_timeout=1)
    assert failure not in (None, (625, "57014"))


def test_a_lock_that_is_not_got_in_time_is_told_as_such(
    snowflake_env: Mapping[str, str], stock_env: Mapping[str, str]
) -> None:
    """LOCK_TIMEOUT=0 does not wait at all; 625 / 57014 is what the real service ends the wait with."""

    def scenario(waiter: Any) -> Any:
        with connect(env) as holder:
            run(
                holder,
                "CREATE TABLE T (I NUMBER(38,0))",
                "INSERT INTO T VALUES (1)",
                "BEGIN",
                "UPDATE T SET I = 2",
            )
            attempt(waiter, "ALTER SESSION SET LOCK_TIMEOUT = 0")
            return attempt(waiter, "UPDATE T SET I = 3")

    env = snowflake_env
    assert outcome(scenario, snowflake_env) == (625, "57014")
    env = stock_env
    assert outcome(scenario, stock_env) != (625, "57014")


def load_one_table(
    env: Mapping[str, str], number: int, failures: list[str], ready: threading.Barrier
) -> None:
    """Staging tables, merges and shared objects, as a worker thread of pgsnow makes them."""
    place = f"{env['SNOWFLAKE_DATABASE']}.SHARED"
    with connect(env) as connection:
        for round_ in range(4):
            ready.wait(CEILING)
            staging = f"{place}.T{number}__PGSNOW_{round_}_1"
            for statement in (
                f"CREATE SCHEMA IF NOT EXISTS {place}",
                f"CREATE STAGE IF NOT EXISTS {place}.STAGE_{round_}",
                f"CREATE TABLE IF NOT EXISTS {place}.T{number} (I NUMBER(38,0), S VARCHAR)",
                f"CREATE OR REPLACE TRANSIENT TABLE {staging} (I NUMBER(38,0), S VARCHAR)",
                f"INSERT INTO {staging} VALUES ({round_}, 'x'), ({round_ + 1}, 'y')",
                MERGE.format(source=f"SELECT * FROM {staging}").replace(
                    "INTO T AS", f"INTO {place}.T{number} AS"
                ),
                f"DROP TABLE IF EXISTS {staging}",
            ):
                if failure := attempt(connection, statement):
                    failures.append(f"{failure}: {statement}")


def load_in_parallel(env: Mapping[str, str], threads: int = 4) -> list[str]:
    failures: list[str] = []
    ready = threading.Barrier(threads)
    loads = [
        threading.Thread(target=load_one_table, args=(env, number, failures, ready))
        for number in range(threads)
    ]
    for load in loads:
        load.start()
    for load in loads:
        load.join()
    return failures


def test_sessions_on_different_tables_do_not_disturb_each_other(snowflake_env: Mapping[str, str]) -> None:
    """Threads that each have a connection of their own, and the same schema and stages.

    The stock emulator answers some of these statements with HTTP 500; the connector hides that by retries.
    """
    assert load_in_parallel(snowflake_env) == []
    with connect(snowflake_env) as connection:
        counts = [rows(connection, f"SELECT COUNT(*), MIN(S), MAX(S) FROM SHARED.T{n}")[0] for n in range(4)]
    assert counts == [(5, "x", "y")] * 4


def test_sessions_on_one_table_take_turns(snowflake_env: Mapping[str, str]) -> None:
    """Nothing is lost, and nobody is told of a conflict."""
    with connect(snowflake_env) as connection:
        run(connection, "CREATE TABLE T (I NUMBER(38,0), S VARCHAR)", "INSERT INTO T VALUES (0, '')")
    failures: list[Any] = []

    def add(letter: str) -> None:
        with connect(snowflake_env) as connection:
            for _ in range(10):
                failures.append(attempt(connection, f"UPDATE T SET S = S || '{letter}', I = I + 1"))

    writers = [threading.Thread(target=add, args=(letter,)) for letter in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    with connect(snowflake_env) as connection:
        ((count, text),) = rows(connection, "SELECT I, S FROM T")
    assert failures == [None] * 20
    assert (count, text.count("a"), text.count("b")) == (20, 10, 10)


def test_a_statement_under_way_ends_with_its_transaction(
    snowflake_env: Mapping[str, str], tmp_path: Path
) -> None:
    """SYSTEM$ABORT_TRANSACTION in the middle of a COPY of many files: no row of any file stays. Once the rest of the
    files was loaded, as if there had been no transaction."""
    for part in range(60):
        (tmp_path / f"part-{part}.csv").write_text(f"{part}\n")
    with connect(snowflake_env) as loader, connect(snowflake_env) as other:
        run(loader, "CREATE TABLE T (I NUMBER(38,0))", "CREATE STAGE ST")
        run(loader, f"PUT file://{tmp_path}/part-*.csv @ST AUTO_COMPRESS=FALSE")
        run(loader, "BEGIN", "INSERT INTO T VALUES (-1)")
        answers: list[Any] = []
        copy = threading.Thread(target=lambda: answers.append(attempt(loader, "COPY INTO T FROM @ST")))
        copy.start()
        numbers = {row[2] for row in rows(other, "SHOW TRANSACTIONS")}
        run(other, *(f"SELECT SYSTEM$ABORT_TRANSACTION({number})" for number in sorted(numbers)))
        copy.join(CEILING)
        attempt(loader, "COMMIT")
        assert rows(other, "SELECT * FROM T") == []
