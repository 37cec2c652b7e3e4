"""Several threads that send statements in one session at the same time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import fakesnow.server

from pgsnow.embedded.snowflake.hooks.cursor import Execute, wrap_execute
from pgsnow.embedded.snowflake.hooks.session_state import state_of
from pgsnow.embedded.snowflake.statements.transactions import in_transaction

CHANGES_THE_SESSION = re.compile(
    r"\s*(?:use|set|unset|alter\s+session|begin|start|commit|rollback|(?:create|drop)\s+(?:or\s+replace\s+)?"
    r"(?:(?:local|global)\s+)?(?:temp|temporary|volatile|transient\s+database|database|schema))\b",
    re.IGNORECASE,
)


def run_statements_of_one_session_side_by_side() -> None:
    """Stock: the statements of a session use one connection of DuckDB, so that those of several threads get one
    another's results. Here a statement that finds it busy uses a connection of its own, and one that changes the
    session, or belongs to a transaction, waits until it is free."""
    wrap_execute(_side_by_side)


def _side_by_side(stock: Execute) -> Execute:
    def execute(self: Any, command: str, *args: Any, **kwargs: Any) -> Any:
        if getattr(self, "pgsnow_runs", False):  # a part of the statement that runs
            return stock(self, command, *args, **kwargs)
        with _connection(self._conn, command) as self._duck_conn:
            self.pgsnow_runs = True
            try:
                return stock(self, command, *args, **kwargs)
            finally:
                self.pgsnow_runs = False

    return execute


@contextmanager
def _connection(session: Any, command: str) -> Iterator[Any]:
    busy = state_of(session).busy
    own = in_transaction(session) or not session._autocommit or CHANGES_THE_SESSION.match(command) is not None
    if busy.acquire(blocking=own):
        try:
            yield session._duck_conn
        finally:
            busy.release()
        return
    with fakesnow.server.shared_fs.duck_conn.cursor() as connection:
        if session.database_set:
            place = '"{}"."{}"'.format(session.database, session._schema if session.schema_set else "main")
            connection.execute(f"SET schema='{place}'")
        yield connection
