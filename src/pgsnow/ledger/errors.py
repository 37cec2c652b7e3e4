"""What psycopg's errors mean at this edge: the map of pgsnow.postgres, and three codes that mean more in a
ledger.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from pgsnow.model.errors import LedgerAccessDenied, PgsnowError
from pgsnow.postgres.errors import sqlstate_of, translated

_GONE = "The ledger's tables are made by the first run: start a worker, or type `pgsnow run`."
_OURS = {
    "25006": "The ledger must be writable: let LEDGER_DSN lead to a primary, not to a standby.",
    "3F000": _GONE,
    "42P01": _GONE,
}


@contextmanager
def translating() -> Iterator[None]:
    """psycopg's errors leave the block as LedgerUnavailable, LedgerAccessDenied, or PgsnowError for what
    is neither.
    """
    try:
        yield
    except psycopg.Error as error:
        raise ledger_error(error) from error


def ledger_error(error: psycopg.Error, sqlstate: str | None = None) -> PgsnowError:
    """`sqlstate`: found out by other means, where psycopg has none."""
    code = sqlstate or sqlstate_of(error)
    if code in _OURS:
        return LedgerAccessDenied(f"ledger: {error.diag.message_primary}", advice=_OURS[code], code=code)
    return translated(error, "ledger", "ledger", sqlstate=code)
