"""Translates the connector's errors into those of model/errors.py, once, by errno and sqlstate and never by text.

Numbers: snowflake/connector/errorcode.py and network.py (25xxxx: the client's own, 29xxxx: an HTTP status,
39xxxx: login and session); the others are the server's, as its error messages show them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

from pgsnow.model import errors


class SnowflakeErrorClass(Enum):
    """Kinds of the connector's errors, by how pgsnow reacts to them."""

    UNAVAILABLE = "unavailable"
    INTERRUPTED = "interrupted"
    CONFLICT = "conflict"
    DENIED = "denied"
    LOGIN = "login"
    ACCOUNT = "account"
    WAREHOUSE = "warehouse"
    CREDITS = "credits"
    TIMEOUT = "timeout"
    STAGE = "stage"
    MISSING = "missing"
    FILE_GONE = "file gone"
    REFUSED = "refused"


HTTP = 290_000
TWICE = 500_000
LOGIN = range(390_000, 400_000)
CONFIGURATION = range(251_001, 251_022)
_BY_ERRNO = {
    # the server's
    603: SnowflakeErrorClass.INTERRUPTED,  # internal error
    604: SnowflakeErrorClass.INTERRUPTED,  # cancelled by a person
    606: SnowflakeErrorClass.WAREHOUSE,  # no active warehouse
    608: SnowflakeErrorClass.WAREHOUSE,  # suspended, and not resumed
    630: SnowflakeErrorClass.TIMEOUT,  # of the statement, the warehouse, or in the queue
    666: SnowflakeErrorClass.CREDITS,  # the trial has ended, or a payment is missing
    90073: SnowflakeErrorClass.CREDITS,  # resource monitor
    625: SnowflakeErrorClass.CONFLICT,  # lock not granted
    2003: SnowflakeErrorClass.MISSING,
    2043: SnowflakeErrorClass.MISSING,
    3001: SnowflakeErrorClass.DENIED,  # insufficient privileges
    3041: SnowflakeErrorClass.DENIED,  # exists already, and the role has no privilege on it
    # the client's network
    250_002: SnowflakeErrorClass.UNAVAILABLE,  # connection is closed
    250_003: SnowflakeErrorClass.UNAVAILABLE,  # request failed
    250_005: SnowflakeErrorClass.UNAVAILABLE,
    250_006: SnowflakeErrorClass.UNAVAILABLE,  # identity provider
    251_011: SnowflakeErrorClass.UNAVAILABLE,  # timed out
    251_012: SnowflakeErrorClass.UNAVAILABLE,  # retryable status at login
    252_002: SnowflakeErrorClass.UNAVAILABLE,  # a chunk of a result is missing
    252_007: SnowflakeErrorClass.UNAVAILABLE,  # session not renewed
    252_010: SnowflakeErrorClass.UNAVAILABLE,
    252_013: SnowflakeErrorClass.UNAVAILABLE,
    253_002: SnowflakeErrorClass.UNAVAILABLE,  # download
    253_003: SnowflakeErrorClass.STAGE,  # upload
    253_009: SnowflakeErrorClass.UNAVAILABLE,
    255_005: SnowflakeErrorClass.UNAVAILABLE,  # a truncated result
    # the client's files
    253_006: SnowflakeErrorClass.FILE_GONE,
    # sessions that ended: a new login helps
    390_103: SnowflakeErrorClass.UNAVAILABLE,
    390_104: SnowflakeErrorClass.UNAVAILABLE,
    390_111: SnowflakeErrorClass.UNAVAILABLE,
    390_112: SnowflakeErrorClass.UNAVAILABLE,
    390_113: SnowflakeErrorClass.UNAVAILABLE,
    390_114: SnowflakeErrorClass.UNAVAILABLE,
    390_115: SnowflakeErrorClass.UNAVAILABLE,
}
ENDED = frozenset(
    {
        "250002", "252007", "390103", "390104", "390111", "390112", "390113", "390114", "390115",
    }
)  # fmt: skip
"""Codes of errors that say that the session has ended: the statement was not executed, and a new session helps."""
_BY_SQLSTATE_CLASS = {
    "28": SnowflakeErrorClass.DENIED,
    "40": SnowflakeErrorClass.CONFLICT,
    "53": SnowflakeErrorClass.UNAVAILABLE,  # insufficient resources
}
_BY_SQLSTATE = {
    "42501": SnowflakeErrorClass.DENIED,
    "57014": SnowflakeErrorClass.TIMEOUT,  # ended by the server
    "57P03": SnowflakeErrorClass.WAREHOUSE,
    "XX000": SnowflakeErrorClass.INTERRUPTED,  # internal error
}
_RAISED: dict[SnowflakeErrorClass, type[errors.PgsnowError]] = {
    SnowflakeErrorClass.UNAVAILABLE: errors.TargetUnavailable,
    SnowflakeErrorClass.INTERRUPTED: errors.StatementInterrupted,
    SnowflakeErrorClass.CONFLICT: errors.WriteConflict,
    SnowflakeErrorClass.DENIED: errors.TargetAccessDenied,
    SnowflakeErrorClass.LOGIN: errors.TargetLoginRefused,
    SnowflakeErrorClass.ACCOUNT: errors.TargetLoginRefused,
    SnowflakeErrorClass.WAREHOUSE: errors.WarehouseUnusable,
    SnowflakeErrorClass.CREDITS: errors.CreditsUsedUp,
    SnowflakeErrorClass.TIMEOUT: errors.StatementTimeout,
    SnowflakeErrorClass.STAGE: errors.StageUnreachable,
    SnowflakeErrorClass.MISSING: errors.TargetMissing,
    SnowflakeErrorClass.FILE_GONE: errors.LoadMismatch,
    SnowflakeErrorClass.REFUSED: errors.TargetQueryFailed,
}
_ADVICE = {
    SnowflakeErrorClass.ACCOUNT: "Check SNOWFLAKE_ACCOUNT: there is no such account at that address.",
}
_ADVICE_BY_ERRNO = {
    390_189: "Check SNOWFLAKE_ROLE: the role must exist, and be granted to SNOWFLAKE_USER (GRANT ROLE … TO USER …).",
    666: "Add a payment method to the Snowflake account (Admin, Billing); no warehouse runs before that.",
}
NO_ACCOUNT = frozenset({403, 404})
FAILED_TO_CONNECT = 250_001
SHOWN = 500
"""Characters of the server's message that are kept."""
_QUERY_OF_URL = re.compile(r"(https?://[^\s?'\"]+)\?[^\s'\"]*")
"""The query of a URL of cloud storage may contain a signature."""


def class_of_errno(errno: int, sqlstate: str = "") -> SnowflakeErrorClass:
    """The class of an errno. (250001 needs the error's class too: see `class_of_error`.)"""
    errno = _plain(errno)
    if known := _BY_ERRNO.get(errno):
        return known
    if errno in LOGIN:
        return SnowflakeErrorClass.LOGIN
    if errno in CONFIGURATION:
        return SnowflakeErrorClass.DENIED
    if (status := _http_status(errno)) is not None:
        return SnowflakeErrorClass.ACCOUNT if status in NO_ACCOUNT else SnowflakeErrorClass.UNAVAILABLE
    if known := _BY_SQLSTATE.get(sqlstate) or _BY_SQLSTATE_CLASS.get(sqlstate[:2]):
        return known
    return SnowflakeErrorClass.REFUSED


def class_of_error(error: Exception) -> SnowflakeErrorClass:
    """The class of an error of the connector."""
    errno = _plain(getattr(error, "errno", None) or -1)
    if errno == FAILED_TO_CONNECT:
        return _class_at_login(error)
    return class_of_errno(errno, getattr(error, "sqlstate", None) or "")


def _class_at_login(error: Exception) -> SnowflakeErrorClass:
    """One errno stands for three failures, distinguished by error class: HTTP 403, a failed login, and network
    errors."""
    from snowflake.connector import errors as driver

    if isinstance(error, driver.ForbiddenError):
        return SnowflakeErrorClass.ACCOUNT
    refused = isinstance(error, driver.DatabaseError) and not isinstance(error, driver.OperationalError)
    return SnowflakeErrorClass.LOGIN if refused else SnowflakeErrorClass.UNAVAILABLE


def _plain(errno: int) -> int:
    """The connector's error classes for HTTP statuses add 290000 to the given number (its errors.py)."""
    return errno - HTTP if errno >= TWICE else errno


def _http_status(errno: int) -> int | None:
    return errno - HTTP if HTTP + 100 <= errno < HTTP + 600 else None


@contextmanager
def translating() -> Iterator[None]:
    """Raises the connector's errors as errors of model/errors.py. A statement that was interrupted, with an unknown
    outcome, raises TargetUnavailable: every statement of pgsnow may be executed again."""
    from snowflake.connector import errors as driver

    try:
        from snowflake.connector.vendored.urllib3.exceptions import HTTPError
    except ImportError:  # connector 5 raises its own errors alone
        HTTPError = OSError
    try:
        yield
    except driver.Error as error:
        raise translated(error) from error
    except (OSError, HTTPError) as error:
        raise errors.TargetUnavailable(f"Snowflake: {type(error).__name__}: {_first_line(error)}") from error


def translated(error: Exception) -> errors.PgsnowError:
    """The error of model/errors.py for an error of the connector."""
    found = class_of_error(error)
    errno = getattr(error, "errno", None)
    return _RAISED[found](
        f"Snowflake: {_first_line(error)}",
        advice=_ADVICE_BY_ERRNO.get(_plain(errno or -1)) or _ADVICE.get(found, ""),
        code=str(errno) if errno is not None else None,
    )


def _first_line(error: Exception) -> str:
    message = " ".join(str(getattr(error, "msg", None) or error).split())
    message = _QUERY_OF_URL.sub(r"\1", message)
    return message if len(message) <= SHOWN else message[: SHOWN - 1] + "…"
