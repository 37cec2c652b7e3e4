"""One session in Snowflake, and how long the connector waits. The connector is imported here and not before: it must
not be loaded before a fork.

Found in snowflake-connector-python 4.8 (connection.py, cursor.py, network.py, auth/by_plugin.py):
- one socket timeout serves connecting, login and statements alike. Below 45 s it would cut off statements, since
  the server holds a request that long before it says "still running"; at login it keeps a dead host for minutes;
- `network_timeout` bounds the retries of a request, and also cancels every statement that runs longer.
"""

from __future__ import annotations

import contextlib
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from types import TracebackType
from typing import Any, Protocol

from pgsnow.model.errors import TargetAccessDenied, TargetQueryFailed
from pgsnow.model.report import SentStatement
from pgsnow.snowflake.errors import SnowflakeErrorClass, class_of_error, translating
from pgsnow.snowflake.redacted import Confidential

LONGEST_TAG = 2_000
LONGEST_SQL = 1 << 20
"""Bytes of a statement's text (Snowflake docs, "Query size limits")."""
QUIET = {"snowflake.connector": logging.ERROR, "snowflake.connector.network": logging.CRITICAL}
"""Levels of the connector's loggers: it also raises an error for every failed request that it logs."""
LOGIN_SECONDS = 8
"""Timeout of one response at login; the connector tries twice (its REQUESTS_RETRY)."""
LOGIN_RETRY_SECONDS = 10
"""After this time, no new attempt at a login begins."""
ANSWER_SECONDS = 120
"""Timeout of one response to a statement."""
RETRY_SECONDS = 15
"""The connector repeats a failed request until this time after its start. A statement that changes rows may run for
longer; it is asked for once more after that: see `connection_class`."""
RENEWED_SECONDS = 60
"""A token that was renewed so recently has not expired: the answer to a statement that was sent before says so."""
CHANGES_ROWS = re.compile(r"\s*(?:copy|merge|insert|delete|update)\b", re.IGNORECASE)
FIRST_WORD = re.compile(r"\w+")
COUNTS_ROWS = frozenset({"COPY", "MERGE", "INSERT", "DELETE", "UPDATE", "SELECT"})
NEEDS_WAREHOUSE = re.compile(
    r"\s*(?:copy|merge|insert|delete|update|with|"
    # The number of a table's rows is metadata, and functions of the session need no table.
    r"select(?!\s+count\(\*\)\s+from\s+(?:\"[^\"]*\"|[^\s\"])+\s*$|\s+(?:current_|system\$)))\b",
    re.IGNORECASE,
)
"""Statements for which a warehouse is resumed. Files are put, listed and removed, and tables created and altered, by
the cloud services alone (Snowflake docs, "Overview of warehouses")."""
STATEMENT_SECONDS = 3_600
"""The server cancels a statement that runs longer."""
QUEUED_SECONDS = 600
"""The server cancels a statement that has waited longer for a warehouse."""
LOCK_SECONDS = 120
"""The server ends a statement that has waited longer for another transaction's lock."""
CANCEL_SECONDS = STATEMENT_SECONDS + 60
"""After this time, the client cancels it."""
OLDER = "cmd_query"
"""A method that connections of connector 4 have. Connector 5 repeats requests and renews tokens by itself."""
Bind = tuple[str, Any]
"""(Snowflake's name of the bind's type, value), such as ("TEXT", "1.50") or ("BINARY", None)."""


class ConnectSettings(Protocol):
    """The part of model.settings.SnowflakeSettings that is needed here."""

    def connect_kwargs(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a statement: its rows, the names of their columns, and the number of rows it changed (None: not
    applicable)."""

    rows: list[tuple[Any, ...]]
    columns: tuple[str, ...]
    query_id: str
    rowcount: int | None = None

    def column(self, name: str) -> list[Any]:
        """The values of the column with this name (case ignored); [] if there is no such column."""
        folded = [known.lower() for known in self.columns]
        if name not in folded:
            return []
        at = folded.index(name)
        return [row[at] for row in self.rows]


@dataclass(eq=False)
class Session:
    """A connection in autocommit mode. Threads may share the connection; each has a value of this class.

    Every method raises TargetUnavailable, TargetAccessDenied, WriteConflict, TargetMissing or TargetQueryFailed (with
    the errno as `code`). After TargetUnavailable the outcome of the statement is unknown.
    """

    _connection: Any = field(repr=False)
    query_tag: str = ""
    """QUERY_HISTORY shows it with each statement. It is sent with the statement, because other runs use the connection
    too."""
    sent: list[SentStatement] = field(default_factory=list, repr=False)
    """The statements that were sent."""

    @property
    def number(self) -> int:
        """Snowflake's id of the session."""
        return int(self._connection.session_id or 0)

    def renew_sockets(self) -> None:
        """Let the next statement open a new network connection. No statement may be running."""
        if hasattr(self._connection, OLDER):
            self._connection.rest.session_manager.close()

    def execute(self, sql: str | Confidential, params: Sequence[Bind] | None = None) -> Result:
        """Execute one statement and fetch its whole result."""
        if isinstance(sql, Confidential):
            return sql.send(lambda text: self.execute(text, params))
        if len(sql) > LONGEST_SQL // 4 and (size := len(sql.encode())) > LONGEST_SQL:
            raise TargetQueryFailed(
                f"{sql[:60]}…: this statement has {size} bytes, and Snowflake takes {LONGEST_SQL}",
                advice="Sync fewer columns of the table (`columns: {include: …}`), or give them shorter names.",
            )
        return self._send(
            sql,
            lambda cursor: cursor.execute(
                sql, params, timeout=CANCEL_SECONDS, _statement_params={"QUERY_TAG": self.query_tag}
            ),
        )

    def stream(self, sql: str, size: int = 10_000) -> Iterator[list[tuple[Any, ...]]]:
        """Execute one statement and fetch its result while it is iterated over, at most `size` rows at a time. It is
        not noted in `sent`."""
        with translating(), contextlib.closing(self._connection.cursor()) as cursor:
            cursor.execute(sql, timeout=CANCEL_SECONDS, _statement_params={"QUERY_TAG": self.query_tag})
            while rows := cursor.fetchmany(size):
                yield [tuple(row) for row in rows]

    def insert_rows(self, sql: str, rows: Sequence[Sequence[Bind]]) -> Result:
        """Execute one INSERT … VALUES (?, …) for all rows at once, as an array bind. All binds of a column must
        have one type. rowcount is the number of inserted rows. Connector 5 takes no query tag here."""
        options: dict[str, Any] = {}
        if hasattr(self._connection, OLDER):
            options = {"timeout": CANCEL_SECONDS, "_statement_params": {"QUERY_TAG": self.query_tag}}
        return self._send(sql, lambda cursor: cursor.executemany(sql, rows, **options))

    def _send(self, sql: str, send: Callable[[Any], object]) -> Result:
        """The whole result of what `send` does with a cursor. The statement is noted in `sent`, also if it fails."""
        kind = (FIRST_WORD.search(sql) or [""])[0].upper()
        started_at, began, rows, failed = datetime.now(UTC), time.monotonic(), None, True
        with translating(), contextlib.closing(self._connection.cursor()) as cursor:
            try:
                send(cursor)
                columns = tuple(column[0] for column in cursor.description or ())
                found = [tuple(row) for row in cursor.fetchall()]
                result = Result(found, columns, cursor.sfqid or "", cursor.rowcount)
                # A COPY answers with a row for each file.
                rows = sum(map(int, result.column("rows_loaded"))) if kind == "COPY" else cursor.rowcount
                failed = False
                return result
            finally:
                self.sent.append(
                    SentStatement(
                        kind,
                        cursor.sfqid or "",
                        started_at,
                        round(time.monotonic() - began, 6),
                        rows if kind in COUNTS_ROWS else None,
                        NEEDS_WAREHOUSE.match(sql) is not None,
                        failed,
                    )
                )

    def close(self) -> None:
        """Log out if the network permits. Never raises; may be called more than once."""
        with contextlib.suppress(Exception):
            self._connection.close(retry=False)

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@cache
def connection_class() -> type[Any]:
    """SnowflakeConnection, with these limits; that of connector 5 as it is. Imports the connector.

    If a statement that changes rows gets no answer, its request is sent once more, with the request's own id: the
    server then answers with the outcome of the statement, and waits if it still runs. A statement that has never
    arrived runs now. docs/decisions/33-after-a-lost-answer-ask-first.md
    """
    from snowflake.connector import SnowflakeConnection as Stock
    from snowflake.connector import errors as driver

    stock: type[Any] = Stock
    if not hasattr(stock, OLDER):
        return stock

    def socket_timeout(self: Any) -> int:
        logged_in = self.rest is not None and self.rest.token is not None
        return ANSWER_SECONDS if logged_in else LOGIN_SECONDS

    def cmd_query(self: Any, sql: str, *args: Any, **kwargs: Any) -> Any:
        limited = {**kwargs, "timeout": RETRY_SECONDS}
        try:
            return Stock.cmd_query(self, sql, *args, **limited)
        except driver.Error as error:
            if not CHANGES_ROWS.match(sql) or class_of_error(error) is not SnowflakeErrorClass.UNAVAILABLE:
                raise
            return Stock.cmd_query(self, sql, *args, **limited)

    body = {"socket_timeout": property(socket_timeout), "cmd_query": cmd_query}
    return type("PatientConnection", (Stock,), body)


@cache
def begin_import() -> None:
    """Import the connector in a thread, to shorten the wait in `connect`. Once per process. Opens no connection.

    A failed import raises nothing here: `connect` repeats it. It may fail because the process is ending: process
    pools, which the connector imports, cannot register their exit handlers then.
    """

    def load() -> None:
        with contextlib.suppress(Exception):
            connection_class()

    threading.Thread(target=load, name="pgsnow-import").start()


def connect(settings: ConnectSettings, *, query_tag: str = "pgsnow") -> Session:
    """Log in. `query_tag` is what QUERY_HISTORY shows with each statement.

    Raises TargetUnavailable within about 20 seconds when nothing answers, TargetAccessDenied, ConfigError.
    """
    _quieten()
    arguments = connect_arguments(settings.connect_kwargs())
    with translating():
        try:
            connection = connection_class()(**arguments)
            if hasattr(connection, OLDER):
                _renew_once(connection.rest)
            return Session(connection, query_tag[:LONGEST_TAG])
        # A missing or invalid key file. The cause is left out: it contains the secret.
        except (FileNotFoundError, PermissionError) as error:
            raise TargetAccessDenied(f"Snowflake: cannot read {error.filename}") from None
        except (ValueError, TypeError) as error:
            raise TargetAccessDenied(
                f"Snowflake: the credentials cannot be used ({type(error).__name__})"
            ) from None


def _renew_once(rest: Any) -> None:
    """Let one of the threads that find the session's token expired renew it: the connector lets each of them do so, and
    a token that is renewed twice may end the session."""
    lock, stock, renewed_at = threading.Lock(), rest._renew_session, float("-inf")

    def renew() -> Any:
        nonlocal renewed_at
        with lock:
            if time.monotonic() - renewed_at < RENEWED_SECONDS:
                return {"success": True}
            answer = stock()
            renewed_at = time.monotonic()
            return answer

    rest._renew_session = renew


def connect_arguments(given: Mapping[str, Any]) -> dict[str, Any]:
    """The connector's arguments: those from the settings, and those that pgsnow relies on."""
    return {
        "application": "pgsnow",
        **given,
        "autocommit": True,
        "paramstyle": "qmark",
        "login_timeout": LOGIN_RETRY_SECONDS,
        # A session that nobody uses ends by itself, and the next statement logs in again.
        "client_session_keep_alive": False,
        # Otherwise every login queries the metadata services of three clouds to find out where it runs.
        "platform_detection_timeout_seconds": 0.0,
        "log_imported_packages_in_telemetry": False,
        "session_parameters": {**given.get("session_parameters", {}), **session_parameters()},
    }


def session_parameters() -> dict[str, Any]:
    """Session parameters that must not depend on the account's or the user's defaults (Snowflake docs,
    "Parameters")."""
    return {
        "TIMEZONE": "UTC",
        "STATEMENT_TIMEOUT_IN_SECONDS": STATEMENT_SECONDS,
        # A busy warehouse or another transaction stops one table, not all of them for hours.
        "STATEMENT_QUEUED_TIMEOUT_IN_SECONDS": QUEUED_SECONDS,
        "LOCK_TIMEOUT": LOCK_SECONDS,
        # A statement whose client is gone does not commit hours later.
        "ABORT_DETACHED_QUERY": True,
        # 0: all rows of a result.
        "ROWS_PER_RESULTSET": 0,
        "CLIENT_TELEMETRY_ENABLED": False,
        "QUOTED_IDENTIFIERS_IGNORE_CASE": False,
        "ERROR_ON_NONDETERMINISTIC_MERGE": True,
        # Formats in which bound text is converted to bytes, dates and times.
        "BINARY_INPUT_FORMAT": "HEX",
        "BINARY_OUTPUT_FORMAT": "HEX",
        "DATE_INPUT_FORMAT": "AUTO",
        "TIME_INPUT_FORMAT": "AUTO",
        "TIMESTAMP_INPUT_FORMAT": "AUTO",
    }


def _quieten() -> None:
    """Sets a level for loggers for which the host has set none; the root logger is left to the host."""
    for name, level in QUIET.items():
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(level)
