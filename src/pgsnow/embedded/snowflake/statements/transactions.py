"""Transactions: one for each statement, waiting for locks, and an error at COMMIT of an aborted
transaction."""

from __future__ import annotations

import contextlib
import re
import time
from typing import Any

import duckdb
from snowflake.connector import errors

from pgsnow.embedded.snowflake.hooks.cursor import Execute, wrap_execute
from pgsnow.embedded.snowflake.hooks.errors import LOCK_TIMEOUT, not_implemented
from pgsnow.embedded.snowflake.hooks.session_state import SessionState, state_of
from pgsnow.embedded.snowflake.statements.gaps import DONE

SEVERAL_STATEMENTS = re.compile(r"\s*(?:merge|update|copy|insert\s+overwrite)\b", re.IGNORECASE)
UPDATE = re.compile(r"\s*update\b", re.IGNORECASE)
DDL = re.compile(r"\s*(?:create|drop|comment|alter\s+(?!session\b|user\b|warehouse\b))", re.IGNORECASE)
BEGIN = re.compile(r"\s*(?:begin\b|start\s+transaction\b)", re.IGNORECASE)
END = re.compile(r"\s*(?:commit|rollback)\b", re.IGNORECASE)
ROLLBACK = re.compile(r"\s*rollback\b", re.IGNORECASE)
PAUSE_SECONDS = 0.05


def run_several_statements_in_one_transaction() -> None:
    """Stock: MERGE, COPY and INSERT OVERWRITE (and here UPDATE) consist of several statements that are committed one
    by one; after a failure in the middle half of the work stays, and readers see it. With AUTOCOMMIT off an UPDATE
    begins a transaction itself."""
    wrap_execute(_atomic)


def _atomic(stock: Execute) -> Execute:
    def execute(self: Any, command: str, *args: Any, **kwargs: Any) -> Any:
        begins_one = UPDATE.match(command) and not self._conn._autocommit
        if begins_one or not SEVERAL_STATEMENTS.match(command) or in_transaction(self._conn):
            return stock(self, command, *args, **kwargs)
        self._duck_conn.begin()
        try:
            result = stock(self, command, *args, **kwargs)
            self._duck_conn.commit()
        except BaseException:
            with contextlib.suppress(duckdb.Error):
                self._duck_conn.rollback()
            raise
        return result

    return execute


def in_transaction(session: Any) -> bool:
    """True within BEGIN … COMMIT, and with autocommit off once something was written.

    DuckDB cannot be asked: it aborts the transaction at a second BEGIN.
    """
    return state_of(session).open or session._in_transaction


def follow_transactions() -> None:
    """Stock: a second BEGIN in a transaction is an error that ends it. The real service ignores it."""

    def wrap(stock: Execute) -> Execute:
        def execute(self: Any, command: str, *args: Any, **kwargs: Any) -> Any:
            state = state_of(self._conn)
            if BEGIN.match(command):
                command, state.open = (DONE if in_transaction(self._conn) else command), True
            elif END.match(command):
                state.open = False
            return stock(self, command, *args, **kwargs)

        return execute

    wrap_execute(wrap)


def commit_before_ddl() -> None:
    """Stock: DDL in a transaction is part of it. The real service commits the transaction first
    (Snowflake docs, "Transactions", DDL)."""

    def wrap(stock: Execute) -> Execute:
        def execute(self: Any, command: str, *args: Any, **kwargs: Any) -> Any:
            if DDL.match(command) and in_transaction(self._conn):
                self._duck_conn.commit()
                state_of(self._conn).open = self._conn._in_transaction = False
            return stock(self, command, *args, **kwargs)

        return execute

    wrap_execute(wrap)


def refuse_to_commit_what_was_lost() -> None:
    """Stock: DuckDB aborts a transaction after an error in it, and COMMIT reports success.

    The real service keeps the transaction open with its earlier statements. Here every statement but ROLLBACK fails,
    so that the loss is noticed.
    """

    def wrap(stock: Execute) -> Execute:
        def execute(self: Any, command: str, *args: Any, **kwargs: Any) -> Any:
            state = state_of(self._conn)
            with state.running if in_transaction(self._conn) else contextlib.nullcontext():
                return checked(self, state, stock, command, *args, **kwargs)

        return execute

    def checked(
        self: Any, state: SessionState, stock: Execute, command: str, *args: Any, **kwargs: Any
    ) -> Any:
        if state.lost and not ROLLBACK.match(command):
            raise not_implemented("the transaction ended with the error before; ROLLBACK and do it again")
        try:
            result = stock(self, command, *args, **kwargs)
        except Exception:
            state.lost = _given_up(self._duck_conn)
            raise
        state.lost = False
        return result

    wrap_execute(wrap)


def _given_up(connection: duckdb.DuckDBPyConnection) -> bool:
    try:
        connection.execute("SELECT 1")
    except duckdb.TransactionException:
        return True
    return False


def wait_for_locks() -> None:
    """Stock: a statement on rows that another transaction has changed fails at once. The real service waits up to
    LOCK_TIMEOUT for the other transaction. Here, statements in an explicit transaction still fail at once."""

    def wrap(stock: Execute) -> Execute:
        def execute(self: Any, command: str, *args: Any, **kwargs: Any) -> Any:
            deadline = time.monotonic() + state_of(self._conn).lock_seconds
            waits = not in_transaction(self._conn)
            while True:
                try:
                    return stock(self, command, *args, **kwargs)
                except errors.ProgrammingError as error:
                    if not waits or error.errno != LOCK_TIMEOUT[0] or time.monotonic() > deadline:
                        raise
                time.sleep(PAUSE_SECONDS)

        return execute

    wrap_execute(wrap)
