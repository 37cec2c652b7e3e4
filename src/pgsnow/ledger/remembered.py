"""What the ledger remembers, for commands that write nothing and so do not create or upgrade its tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pgsnow.model.errors import PgsnowError

T = TypeVar("T")

NOT_THERE = frozenset({"42P01", "42703"})
"""undefined_table, undefined_column: https://www.postgresql.org/docs/current/errcodes-appendix.html"""


def remembered(read: Callable[[], T], otherwise: T) -> T:
    """What `read` tells; `otherwise` before the first run, which creates or upgrades the ledger's tables."""
    try:
        return read()
    except PgsnowError as error:
        if error.code in NOT_THERE:
            return otherwise
        raise
