"""Translation of the source's driver errors into those of model/errors.py, in this one place, by SQLSTATE and never by
message. The ledger has its own: ledger/errors.py.

The advice about TLS is the exception: libpq has no code for what it refuses before it logs in.

Codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

import psycopg

from pgsnow.model import errors

DRIVER_ERRORS: tuple[type[Exception], ...] = (psycopg.Error, OSError)
"""Errors that a statement may raise."""


class PostgresErrorClass(Enum):
    """Class of a SQLSTATE, by the PgsnowError that it is translated to."""

    UNAVAILABLE = "unavailable"
    DENIED = "denied"
    NO_DATABASE = "no database"
    NO_TABLE = "no table"
    NO_COLUMN = "no column"
    REFUSED = "refused"


_BY_CLASS = {
    "08": PostgresErrorClass.UNAVAILABLE,  # connection exception
    "28": PostgresErrorClass.DENIED,  # invalid authorization
    "40": PostgresErrorClass.UNAVAILABLE,  # rolled back: serialization, deadlock, recovery conflict
    "53": PostgresErrorClass.UNAVAILABLE,  # out of connections, memory, disk
    "57": PostgresErrorClass.UNAVAILABLE,  # shutdown, crash, starting up, cancelled
    "58": PostgresErrorClass.UNAVAILABLE,  # error of the server's system
}
_BY_CODE = {
    "25P03": PostgresErrorClass.UNAVAILABLE,  # idle_in_transaction_session_timeout ended the session
    "25P04": PostgresErrorClass.UNAVAILABLE,  # transaction_timeout ended the session
    "3D000": PostgresErrorClass.NO_DATABASE,
    "3F000": PostgresErrorClass.NO_TABLE,
    "42501": PostgresErrorClass.DENIED,
    "42703": PostgresErrorClass.NO_COLUMN,
    "42P01": PostgresErrorClass.NO_TABLE,
    "55006": PostgresErrorClass.UNAVAILABLE,  # object in use
    "55P03": PostgresErrorClass.UNAVAILABLE,  # lock not available
}
_RAISED: dict[PostgresErrorClass, type[errors.PgsnowError]] = {
    PostgresErrorClass.UNAVAILABLE: errors.SourceUnavailable,
    PostgresErrorClass.DENIED: errors.SourceAccessDenied,
    PostgresErrorClass.NO_DATABASE: errors.SourceAccessDenied,
    PostgresErrorClass.NO_TABLE: errors.SourceTableMissing,
    PostgresErrorClass.NO_COLUMN: errors.ColumnMissing,
    PostgresErrorClass.REFUSED: errors.SourceQueryFailed,
}
_NAMED = frozenset({PostgresErrorClass.NO_TABLE, PostgresErrorClass.NO_COLUMN})
"""Errors about something that pgsnow's statement names, unless they were raised inside of a function or a view."""
_OF_TEXT = frozenset({PostgresErrorClass.REFUSED})
"""Errors whose advice may be that of the SQLSTATE's class."""
_BROKEN_INSIDE = (
    "The view, or a function or foreign table that it reads, is broken: correct it in Postgres. The configuration is"
    " not the cause. The next tick tries again."
)
_TLS_REFUSED = re.compile(r"certificate|does not support SSL|sslrootcert", re.IGNORECASE)
_TLS_ADVICE = (
    "The connection was refused here, before anything was sent, because the server could not be verified (sslmode)."
    " `host` must be a name in the server's certificate; sslrootcert (PGSSLROOTCERT) must name the file of the"
    " authority that signed it; the certificate must not have expired, and the server must offer TLS. Do not lower"
    " sslmode: another server may be answering."
)
_NEXT_TICK = "The next tick tries again; nothing is lost."
_NO_FILES = "EMFILE"
_LIMITS = (errno.EMFILE, errno.ENFILE)
_ADVICE = {
    _NO_FILES: "This process, or the machine, may open no more files: raise the limit (LimitNOFILE= of a systemd unit,"
    f" `ulimit -n`). {_NEXT_TICK}",
    "08P01": "A connection pooler, which answers so, does not take this connection or statement: it may know no such"
    " database or user, have no free server connection (default_pool_size, query_wait_timeout), lend sessions for"
    " single statements (it must have pool_mode = transaction or session), or refuse a parameter of POSTGRES_DSN."
    " pgbouncer refuses `options`: remove them, or use `ALTER ROLE … SET` for what they set.",
    "0A000": "If POSTGRES_DSN leads to a standby, it cannot do this; point POSTGRES_DSN at the primary.",
    "22": "A value of the table cannot be computed or converted where a view, a function, a virtual column or `where:`"
    " uses it. Correct the value, or what computes it; psql shows the row with the same query.",
    "25006": "A function in `where:`, or one that a view or a policy calls, writes; pgsnow reads in READ ONLY"
    " transactions alone. Remove it, or replace it by one that only reads.",
    "25P03": "The server, or a pooler before it, ends transactions that are idle"
    f" (idle_in_transaction_session_timeout), although pgsnow disables that for its own. {_NEXT_TICK}",
    "25P04": "The server, or a pooler before it, ends long transactions (transaction_timeout), although pgsnow disables"
    f" that for its own. {_NEXT_TICK}",
    "28000": "The server does not admit this user: correct the user in POSTGRES_DSN (or PG_USER), or create the role"
    " with LOGIN, or add a line for it to pg_hba.conf.",
    "28P01": "Check the user and password in POSTGRES_DSN (or PG_USER and PG_PASSWORD).",
    "42": "Correct `where:` in sync_config.yaml, the only SQL text in it; or, for a view, what it computes.",
    "42703": "Correct the column's name in `where:` in sync_config.yaml. If the table was just altered, the next tick"
    " reads it with its new definition.",
    "3D000": "Correct the database's name in POSTGRES_DSN (or PG_DB).",
    "40001": "If this is a standby, it cancelled the read because it held back changes of the primary. Set"
    " hot_standby_feedback = on there, or max_standby_streaming_delay to more than the longest read takes, or point"
    f" POSTGRES_DSN at the primary. {_NEXT_TICK}",
    "40P01": f"Another transaction was in the way (on a standby: the changes of its primary). {_NEXT_TICK}",
    "42501": "Grant the role the privilege that the message names; `pgsnow check` prints the statement.",
    "42883": "Correct the function's name or its arguments where it is called: in `where:`, or in a view. (A name"
    " without a schema is looked up along the role's search_path.)",
    "53100": f"Free space on the disk of the Postgres server. {_NEXT_TICK}",
    "53300": "Raise max_connections or the role's CONNECTION LIMIT, put a pooler in between, or lower parallel_tables."
    f" {_NEXT_TICK}",
    "55P03": "Another session keeps the table locked (ALTER TABLE, TRUNCATE, VACUUM FULL, or a transaction left open;"
    f" pg_locks and pg_blocking_pids show which). {_NEXT_TICK}",
    "57014": "The statement was cancelled by an administrator (pg_cancel_backend), by a tool that ends long queries, or"
    f" by a pooler's query_timeout. (pgsnow disables statement_timeout for its own.) {_NEXT_TICK}",
    "57P01": "An administrator ended the session (pg_terminate_backend), or the server shuts down or restarts."
    f" {_NEXT_TICK}",
    "57P02": f"The server crashed and recovers; see its log. {_NEXT_TICK}",
    "57P03": f"The server starts up, shuts down, or is a standby that takes no connections. {_NEXT_TICK}",
    "57P04": "The database was dropped. Correct POSTGRES_DSN (or PG_DB), or restore it.",
    "57P05": f"The server ends sessions that are idle (idle_session_timeout). {_NEXT_TICK}",
}


def error_class_of(sqlstate: str) -> PostgresErrorClass:
    """The class of this SQLSTATE; REFUSED if it has no other."""
    return _BY_CODE.get(sqlstate) or _BY_CLASS.get(sqlstate[:2], PostgresErrorClass.REFUSED)


def sqlstate_of(error: BaseException) -> str | None:
    """The SQLSTATE of a driver's error, if it has one."""
    code = getattr(error, "sqlstate", None)
    return code if isinstance(code, str) and len(code) == 5 and code != "00000" else None


def translated(
    error: Exception, table: str | None = None, *, sqlstate: str | None = None
) -> errors.PgsnowError:
    """The error of model/errors.py to raise in place of a driver's. `sqlstate`: where the driver's error has none."""
    code = sqlstate or sqlstate_of(error)
    error_class = error_class_of(code) if code else _without_code(error)
    message = _first_line(error)
    text = f"{table}: {message}" if table else message
    if error_class in _NAMED and (context := _context(error)):
        return errors.SourceQueryFailed(f"{text} ({context})", advice=_BROKEN_INSIDE, code=code)
    known = _ADVICE.get(
        _NO_FILES
        if _has_no_files(error) or _has_no_files(error.__cause__ or error.__context__)
        else code or ""
    )
    advice = known or (_ADVICE.get((code or "")[:2], "") if error_class in _OF_TEXT else "")
    advice = advice or ("" if code else tls_advice(error))
    return _RAISED[error_class](text, advice=advice, code=code)


def tls_advice(error: Exception) -> str:
    """The advice for a connection that libpq refused because of the server's certificate; '' for any other error."""
    return _TLS_ADVICE if _TLS_REFUSED.search(str(error)) else ""


@contextmanager
def translating(table: str | None = None) -> Iterator[None]:
    """Translates drivers' errors that are raised in a `with` block; any other error passes."""
    try:
        yield
    except DRIVER_ERRORS as error:
        raise translated(error, table) from error


def _without_code(error: Exception) -> PostgresErrorClass:
    """libpq reports no SQLSTATE without a connection; a client-side error has none either."""
    lost = (psycopg.OperationalError, psycopg.InterfaceError, OSError)
    return PostgresErrorClass.UNAVAILABLE if isinstance(error, lost) else PostgresErrorClass.REFUSED


def _has_no_files(error: BaseException | None) -> bool:
    """True if an open file too many is the cause. libpq says so in the words of the C library, or not at all: then it
    is seen by opening one."""
    if isinstance(error, OSError):
        return error.errno in _LIMITS
    if not isinstance(error, psycopg.OperationalError) or error.sqlstate:
        return False
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as refused:
        return refused.errno in _LIMITS
    return any(os.strerror(limit) in str(error) for limit in _LIMITS)


def _context(error: Exception) -> str:
    """The function, or the foreign server's statement, in which the error was raised; '' for pgsnow's own statement."""
    if not isinstance(error, psycopg.Error):
        return ""
    lines = (error.diag.context or getattr(error, "context", None) or "").splitlines()
    return lines[0].strip() if lines else ""


def _first_line(error: Exception) -> str:
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        return error.diag.message_primary
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
