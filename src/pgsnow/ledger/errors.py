"""Errors of the ledger's connection and statements, by SQLSTATE: the retry rule and the advice of each.

LedgerUnavailable: the same statement may succeed later (connection lost, deadlock, lock or statement timeout,
server out of disk, memory or connections).

LedgerAccessDenied: the ledger cannot be used as configured (login, privileges, read-only server, missing
tables).

LedgerQueryFailed: a statement does not fit the tables (a missing column, a constraint added by hand).

Codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import psycopg

from pgsnow.model.errors import (
    LedgerAccessDenied,
    LedgerQueryFailed,
    LedgerRowUnreadable,
    LedgerUnavailable,
    PgsnowError,
)
from pgsnow.postgres.errors import sqlstate_of, tls_advice

T = TypeVar("T")

TABLES_MISSING = frozenset({"42P01", "42703"})
"""undefined_table and undefined_column: the ledger was not created or not upgraded yet."""
TABLE = re.compile(
    r"\b(sync_(?:watermarks|errors|logs|horizon|backfills|chunks)|pgsnow_migrations|pgsnow_ledger)\b"
)
"""The ledger's tables, as the server names them in its messages."""


@dataclass(frozen=True, slots=True)
class Rule:
    """The error for one SQLSTATE or class of them, and its advice, with {place} for the table concerned
    and {schema} for the ledger's schema. Without advice the error's default is used.
    """

    error: type[PgsnowError]
    advice: str = ""


_NEXT_TICK = "Nothing is lost; the next tick tries again."
_MISSING = Rule(
    LedgerAccessDenied,
    "The first run creates the ledger's tables in schema {schema}: start a worker, or run `pgsnow run`. If one"
    " was dropped later, the next run creates it again.",
)
_LOCKED = Rule(
    LedgerUnavailable,
    "Another session keeps {place} locked (ALTER TABLE, VACUUM FULL, or a transaction that is left open);"
    f" pg_locks and pg_blocking_pids show which. {_NEXT_TICK}",
)
_TIMED_OUT = Rule(LedgerUnavailable, f"A timeout set on the ledger's server ended the session. {_NEXT_TICK}")

RULES = {
    "08": Rule(LedgerUnavailable),  # connection exception
    "08P01": Rule(  # protocol violation
        LedgerUnavailable,
        "A connection pooler before the ledger, which answers so, does not take this connection or statement: it must"
        " know the database and the user, have a free server connection, and have pool_mode = transaction or session."
        " Better let LEDGER_DSN lead past it.",
    ),
    "23": Rule(  # integrity constraint violation
        LedgerQueryFailed, "Remove the constraint or trigger on {place} that pgsnow did not create."
    ),
    "25006": Rule(  # read-only transaction
        LedgerAccessDenied,
        "The ledger must be writable: point LEDGER_DSN at a primary, not at a standby.",
    ),
    "25P03": _TIMED_OUT,  # idle_in_transaction_session_timeout
    "25P04": _TIMED_OUT,  # transaction_timeout
    "28": Rule(  # invalid authorization
        LedgerAccessDenied,
        "Check the user and password in LEDGER_DSN (or POSTGRES_DSN), and pg_hba.conf on that server.",
    ),
    "3D000": Rule(  # database
        LedgerAccessDenied, "Correct the database's name in LEDGER_DSN (or POSTGRES_DSN)."
    ),
    "3F000": _MISSING,  # schema
    "40": Rule(  # deadlock, serialization failure, recovery conflict
        LedgerUnavailable, f"Another transaction on {{place}} was in the way. {_NEXT_TICK}"
    ),
    "42501": Rule(  # insufficient privilege
        LedgerAccessDenied,
        "Grant the ledger's role USAGE on schema {schema} and SELECT, INSERT, UPDATE and DELETE on its"
        " tables, and leave row-level security off on them. To create them it needs CREATE on the schema (on the"
        " database, if there is no schema yet), and to upgrade them it must own them; `pgsnow check` prints the"
        " statements.",
    ),
    "42P01": _MISSING,  # table
    "53": Rule(  # insufficient resources
        LedgerUnavailable, f"The ledger's server is out of memory or of connections. {_NEXT_TICK}"
    ),
    "53100": Rule(  # disk full
        LedgerUnavailable, f"Free space on the disk of the ledger's server. {_NEXT_TICK}"
    ),
    "55006": _LOCKED,  # object in use
    "55P03": _LOCKED,  # lock timeout
    "57": Rule(LedgerUnavailable),  # shutdown, crash, starting up
    "57014": Rule(  # statement timeout
        LedgerUnavailable,
        "A statement on {place} ran into statement_timeout, or an administrator cancelled it. Look for a long"
        f" transaction or a busy server. {_NEXT_TICK}",
    ),
    "58": Rule(  # system error
        LedgerUnavailable, f"See the log of the ledger's server. {_NEXT_TICK}"
    ),
}
"""By SQLSTATE, or by its first two characters."""
_NO_ANSWER = Rule(LedgerUnavailable)
_OTHER = Rule(
    LedgerQueryFailed,
    "Compare {place} with `pgsnow explain ledger`: a column, index or type may have been changed by hand. If nothing"
    " differs, see the log of the ledger's server.",
)


UNREADABLE = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)
"""Errors of reading a stored value that pgsnow did not write."""
_RESETS = {
    "checkpoint": ("checkpoint = NULL", "everything is read again"),
    "open_batches": ("open_batches = '{}'", "what those batches left in Snowflake stays there"),
    "places": ("places = NULL", "everything is read again"),
    "sweep": ("sweep = NULL", "deleted rows are searched for"),
    "staged": ("staged = NULL, loaded_checkpoint = NULL, checkpoint = NULL", "everything is read again"),
    "source_schema": ("source_schema = NULL", "the source's definition is stored again"),
    "target_columns": ("target_columns = NULL", "the target is looked up again"),
    "loaded_columns": ("loaded_columns = NULL", "the target's columns are compared from the next load on"),
    "backfill": ("backfill = NULL", "the backfill starts over"),
}
"""A column of sync_watermarks → what removes a value in it that cannot be read, and what the next run does then."""


def unreadable(table: str, column: str, schema: str, error: Exception) -> LedgerRowUnreadable:
    """The error of a table whose row has a value in this column that pgsnow did not write."""
    assignment, effect = _RESETS[column]
    name = table.replace("'", "''")
    statement = f"UPDATE {schema}.sync_watermarks SET {assignment} WHERE source_table = '{name}'"  # noqa: S608
    return LedgerRowUnreadable(
        f"{table}: {column} in {schema}.sync_watermarks cannot be read ({type(error).__name__}: {error}):"
        " it was edited by hand",
        advice=f"Restore the value, or run `{statement}`: {effect}.",
    )


@contextmanager
def translating(schema: str) -> Iterator[None]:
    """psycopg's errors leave the block as LedgerUnavailable, LedgerAccessDenied or LedgerQueryFailed."""
    try:
        yield
    except psycopg.Error as error:
        raise ledger_error(error, schema) from error


def ledger_error(
    error: psycopg.Error, schema: str, sqlstate: str | None = None, advice_of_login: str = ""
) -> PgsnowError:
    """The error to raise in place of psycopg's. `sqlstate`: found by other means, where psycopg has none.
    advice_of_login: of a connection that failed, in place of a statement's advice."""
    if advice_of_login:
        return LedgerAccessDenied(f"ledger: {_first_line(error)}", advice=advice_of_login, code=sqlstate)
    code = sqlstate or sqlstate_of(error)
    rule = rule_for(code) if code else _rule_without_code(error)
    advice = rule.advice.format(place=_place(error, schema), schema=schema)
    advice = advice or ("" if code else tls_advice(error))
    return rule.error(f"ledger: {_first_line(error)}", advice=advice, code=code)


def rule_for(sqlstate: str) -> Rule:
    return RULES.get(sqlstate) or RULES.get(sqlstate[:2]) or _OTHER


def unless_missing(read: Callable[[], T], default: T) -> T:
    """read(), or `default` before the first run, which creates or upgrades the ledger's tables.

    For commands that write nothing.
    """
    try:
        return read()
    except PgsnowError as error:
        if error.code in TABLES_MISSING:
            return default
        raise


def _rule_without_code(error: psycopg.Error) -> Rule:
    """libpq gives no SQLSTATE when there is no connection; a mistake in the call has none either."""
    return _NO_ANSWER if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) else _OTHER


def _place(error: psycopg.Error, schema: str) -> str:
    """The ledger's table that the server names, or else its schema."""
    table = TABLE.search(f"{error.diag.table_name} {error.diag.message_primary} {error.diag.context}")
    return f"table {schema}.{table[1]}" if table else f"the tables in schema {schema}"


def _first_line(error: psycopg.Error) -> str:
    lines = (error.diag.message_primary or str(error)).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
