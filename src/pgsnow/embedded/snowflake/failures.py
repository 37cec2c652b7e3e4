"""Failures of the engine below, told as Snowflake would tell them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import duckdb
import fakesnow.cursor
from snowflake.connector import errors

NUMBERS: tuple[tuple[type[Exception], int, str], ...] = (
    (duckdb.ConstraintException, 100072, "22000"),
    (duckdb.TransactionException, 625, "57014"),
    (duckdb.OutOfRangeException, 100046, "22003"),
    (duckdb.InvalidInputException, 100069, "22P02"),
    (duckdb.IOException, 100080, "22000"),
    (duckdb.Error, 1, "XX000"),
)
"""DuckDB's failure -> errno and sqlstate. A write conflict is told as a lock that was not got in time: the real
service waits for the other transaction, and ends the wait with 625 / 57014."""
NOT_IMPLEMENTED = (2, "0A000")


def answer_failures_as_errors() -> None:
    """Stock: HTTP 500, which the connector takes for an outage and answers by sending the statement again."""
    stock = fakesnow.cursor.FakeSnowflakeCursor.execute
    fakesnow.cursor.FakeSnowflakeCursor.execute = _translating(stock)


def _translating(stock: Callable[..., Any]) -> Callable[..., Any]:
    def execute(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return stock(self, *args, **kwargs)
        except errors.Error:
            raise
        except Exception as failure:
            raise as_snowflake(failure) from failure

    return execute


def as_snowflake(failure: Exception) -> errors.ProgrammingError:
    for kind, errno, sqlstate in NUMBERS:
        if isinstance(failure, kind):
            return errors.ProgrammingError(msg=str(failure), errno=errno, sqlstate=sqlstate)
    errno, sqlstate = NOT_IMPLEMENTED
    text = f"not supported by the emulator: {type(failure).__name__}: {failure}"
    return errors.ProgrammingError(msg=text, errno=errno, sqlstate=sqlstate)
