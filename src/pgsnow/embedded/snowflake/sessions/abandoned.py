"""Transactions that are open, and the end of one whose client is gone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import fakesnow.server

from pgsnow.embedded.snowflake.hooks.cursor import rewrite_text
from pgsnow.embedded.snowflake.hooks.session_state import state_of
from pgsnow.embedded.snowflake.statements.transactions import in_transaction

SHOW = re.compile(r"\s*show\s+transactions\s*;?\s*\Z", re.IGNORECASE)
ABORT = re.compile(
    r"\s*(?:select|call)\s+system\$abort_transaction\(\s*'?(\d+)'?\s*\)\s*;?\s*\Z", re.IGNORECASE
)
COLUMNS = ("id", "user", "session", "name", "started_on", "state", "scope")


def end_abandoned_transactions() -> None:
    """Stock: SHOW TRANSACTIONS and SYSTEM$ABORT_TRANSACTION are not supported. Here, a transaction has the number of
    its session."""
    rewrite_text(lambda _, command: _show() if SHOW.match(command) else None)
    rewrite_text(lambda _, command: _abort(int(found[1])) if (found := ABORT.match(command)) else None)


def _open() -> Iterator[tuple[int, Any]]:
    for session in list(fakesnow.server.sessions.values()):
        if in_transaction(session):
            yield state_of(session).number, session


def _show() -> str:
    rows = [f"SELECT {number}, 'USER', {number}, '', NULL, 'running', 0" for number, _ in _open()]
    named = ", ".join(f'NULL AS "{name}"' for name in COLUMNS)
    return " UNION ALL ".join([f"SELECT {named} WHERE 1 = 0", *rows])


def _abort(number: int) -> str:
    """A statement under way in the transaction is interrupted first: what it still had to do would be committed."""
    for found, session in _open():
        if found == number:
            state = state_of(session)
            session._duck_conn.interrupt()
            with state.running:
                session._duck_conn.rollback()
                state.open, state.lost = False, True
    return "SELECT 'Aborted' AS \"SYSTEM$ABORT_TRANSACTION\""
