"""The sessions of a command in Postgres and Snowflake; it goes on past a table that fails."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field

import psycopg

from pgsnow.model.errors import PgsnowError, TargetUnavailable, UnexpectedError
from pgsnow.model.settings.secret import Secret
from pgsnow.model.settings.settings import SnowflakeSettings
from pgsnow.model.unexpected import public_advice, public_text
from pgsnow.postgres.connection import Source
from pgsnow.snowflake.session import Session, connect
from pgsnow.sync.runtime.log import log_unexpected


@dataclass(slots=True)
class CommandSessions:
    """A session in Postgres and one in Snowflake, each opened when it is first needed and again after it broke. A
    server that cannot be reached is not tried again: what failed once fails for every other table at once. Closed with
    the `with` block."""

    source: Source
    snowflake: SnowflakeSettings
    query_tag: str
    _conn: psycopg.Connection | None = None
    _session: Session | None = None
    _lost: dict[str, PgsnowError] = field(default_factory=dict)
    _stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> CommandSessions:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def postgres(self) -> psycopg.Connection:
        """Raises SourceUnavailable, SourceAccessDenied."""
        if self._conn is None or self._conn.closed:
            try:
                self._fail_again("postgres")
                self._conn = self._stack.enter_context(self.source.connect())
            except PgsnowError as error:
                self._lost["postgres"] = error
                raise
        return self._conn

    def session(self) -> Session:
        """Raises TargetUnavailable, TargetAccessDenied, ConfigError."""
        if self._session is None:
            try:
                self._fail_again("snowflake")
                self._session = self._stack.enter_context(connect(self.snowflake, query_tag=self.query_tag))
            except PgsnowError as error:
                self._lost["snowflake"] = error
                raise
        return self._session

    def after(self, error: Exception) -> None:
        """To be called when a table has failed: a session in an unknown state is not used for the next table."""
        if isinstance(error, TargetUnavailable):
            self._session = None

    def _fail_again(self, end: str) -> None:
        if end in self._lost:
            raise self._lost[end]


def as_known(error: Exception, secrets: Iterable[Secret], table: str) -> PgsnowError:
    """A PgsnowError as it is; any other error, which stops this table alone, with a text that is safe to publish. It
    is logged."""
    if isinstance(error, PgsnowError):
        return error
    log_unexpected(error, secrets, table)
    return UnexpectedError(f"{table}: {public_text(error)}", advice=public_advice(error))
