"""Turns errors of DuckDB into the errors that Snowflake would give."""

from __future__ import annotations

import re
from typing import Any

import duckdb
from snowflake.connector import errors
from starlette.requests import Request
from starlette.responses import JSONResponse

from pgsnow.embedded.snowflake.hooks.cursor import Execute, wrap_execute
from pgsnow.embedded.snowflake.hooks.routes import QUERY, Endpoint, replace_route

LOCK_TIMEOUT = (625, "57014")
INVALID_IDENTIFIER = (904, "42000")
STOCK_BINDER_ERROR = 2043
NOT_IMPLEMENTED = (2, "0A000")
NUMBERS: tuple[tuple[type[Exception], int, str], ...] = (
    (duckdb.CatalogException, 2003, "42S02"),
    (duckdb.BinderException, *INVALID_IDENTIFIER),
    (duckdb.ParserException, 1003, "42000"),
    (duckdb.ConversionException, 100035, "22007"),
    (duckdb.ConstraintException, 100072, "22000"),
    (duckdb.OutOfRangeException, 100046, "22003"),
    (duckdb.InvalidInputException, 100069, "22P02"),
    (duckdb.IOException, 100080, "22000"),
    (OverflowError, 100046, "22003"),
)
"""Error of DuckDB -> errno and sqlstate of Snowflake."""
CONFLICT = re.compile("conflict", re.IGNORECASE)
EXISTS_ALREADY = (2002, "42710")
NOT_A_NUMBER = (100038, "22018")
DIVISION_BY_ZERO = (100051, "22012")
DIVIDED_BY_ZERO = "Division by zero"
"""DuckDB's message for a division that divisions.py refuses."""
NO_NUMBER = re.compile(
    r"Could not convert string [\"'](?P<text>.*)[\"'] to (?:DECIMAL|HUGEINT|U?INT|DOUBLE|FLOAT)", re.DOTALL
)
THERE = re.compile(r"with name .* already exists!", re.DOTALL)


def answer_failures_as_errors() -> None:
    """Stock: HTTP 500, which the connector takes for an outage and answers by sending the statement again."""
    wrap_execute(_translating)
    replace_route(QUERY, _answering)


def _translating(stock: Execute) -> Execute:
    def execute(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return stock(self, *args, **kwargs)
        except errors.Error as error:
            if isinstance(error.__cause__, duckdb.BinderException) and error.errno == STOCK_BINDER_ERROR:
                raise snowflake_error(INVALID_IDENTIFIER, str(error.msg)) from error
            if isinstance(error.__cause__, duckdb.ConversionException):
                raise as_snowflake(error.__cause__) from error
            if is_there(error.__cause__):
                raise snowflake_error(EXISTS_ALREADY, str(error.__cause__)) from error
            raise
        except Exception as failure:
            raise as_snowflake(failure) from failure

    return execute


def _answering(stock: Endpoint) -> Endpoint:
    """Wrap a route so that errors outside of a statement, such as an unreadable bound value, are answered too."""

    async def query(request: Request) -> JSONResponse:
        try:
            return await stock(request)
        except Exception as failure:
            return refusal(as_snowflake(failure))

    return query


def refusal(error: errors.ProgrammingError) -> JSONResponse:
    """The protocol's answer to a failed statement."""
    code = f"{error.errno:06d}"
    data = {"errorCode": code, "sqlState": error.sqlstate}
    return JSONResponse({"data": data, "code": code, "message": error.msg, "success": False})


def as_snowflake(failure: Exception) -> errors.ProgrammingError:
    if is_conflict(failure):
        return snowflake_error(LOCK_TIMEOUT, str(failure))
    if is_there(failure):
        return snowflake_error(EXISTS_ALREADY, str(failure))
    if DIVIDED_BY_ZERO in str(failure):
        return snowflake_error(DIVISION_BY_ZERO, DIVIDED_BY_ZERO)
    if isinstance(failure, duckdb.ConversionException) and (given := NO_NUMBER.search(str(failure))):
        return snowflake_error(NOT_A_NUMBER, f"Numeric value '{given['text']}' is not recognized")
    for kind, errno, sqlstate in NUMBERS:
        if isinstance(failure, kind):
            return snowflake_error((errno, sqlstate), str(failure))
    return not_implemented(f"{type(failure).__name__}: {failure}")


def is_conflict(failure: Exception) -> bool:
    """True for a write conflict, which becomes a lock timeout: the real service waits for the other transaction and
    ends the wait with 625 / 57014. DuckDB reports it as text, without a number."""
    return isinstance(failure, duckdb.TransactionException) and CONFLICT.search(str(failure)) is not None


def is_there(failure: BaseException | None) -> bool:
    """True for a CREATE of something that exists. DuckDB has one class for this and for a missing object."""
    return isinstance(failure, duckdb.CatalogException) and THERE.search(str(failure)) is not None


def not_implemented(text: str) -> errors.ProgrammingError:
    return snowflake_error(NOT_IMPLEMENTED, f"not supported by the emulator: {text}")


def snowflake_error(numbers: tuple[int, str], text: str) -> errors.ProgrammingError:
    errno, sqlstate = numbers
    return errors.ProgrammingError(msg=text, errno=errno, sqlstate=sqlstate)
