"""One REPEATABLE READ snapshot on an ADBC connection, and the rows of a table through it."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import adbc_driver_manager as adbc
import pyarrow as pa
from psycopg.sql import Composable

from pgsnow.model.errors import PgsnowError, SourceUnavailable
from pgsnow.postgres import sql
from pgsnow.postgres.arrow import ArrowConnection
from pgsnow.postgres.connection import session_settings
from pgsnow.postgres.errors import sqlstate_of, translated, translating
from pgsnow.postgres.horizon import READER_NAME
from pgsnow.postgres.stream import Stream

IN_FAILED_TRANSACTION = "25P02"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An open READ ONLY transaction. x, xmax: every xid below x has ended, none from xmax on has begun."""

    connection: ArrowConnection
    table: str
    x: int
    xmax: int
    standby: bool
    any_bytes: bool
    """The database does not check its text's encoding (SQL_ASCII), and hands it over as it is."""

    def fetch(self, query: Composable) -> list[tuple[object, ...]]:
        """A small answer. Raises SourceUnavailable, SourceTableMissing, …"""
        with translating("source", self.table):
            return self.connection.rows(sql.text_of(query))

    def batches(self, query: Composable) -> Generator[pa.RecordBatch]:
        """The query's rows as they come, fetched ahead by a thread. Closing the iterator cancels the query."""
        try:
            with (
                self.connection.stream(sql.text_of(query)) as (reader, cancel),
                Stream(reader, cancel) as stream,
            ):
                yield from stream
        except adbc.Error as error:
            raise translated(error, "source", self.table) from error
        except OSError as error:
            raise self._asked(error) from error

    def _asked(self, error: OSError) -> PgsnowError:
        """The reader's errors have no sqlstate. If the server still answers, on this connection, that the transaction
        has failed, it was the statement; else the connection is lost."""
        try:
            self.connection.run("select 1")
        except (adbc.Error, OSError) as second:
            if sqlstate_of(second) == IN_FAILED_TRANSACTION:
                return translated(error, "source", self.table, sqlstate="XX000")
        return SourceUnavailable(f"{self.table}: the connection was lost while reading")


@contextmanager
def snapshot(connection: ArrowConnection, table: str) -> Iterator[Snapshot]:
    """A snapshot for this block. After a failure inside it the connection is spoiled."""
    with translating("source", table):
        connection.run("begin isolation level repeatable read read only")
        # Its own name for the length of the transaction: the horizon leaves such readers out.
        connection.run(session_settings(local=True, application_name=READER_NAME))
        ((x, xmax, standby, encoding),) = connection.rows(
            f"select {sql.text_of(sql.TXIDS)}, pg_is_in_recovery(), getdatabaseencoding()::text"
        )
        any_bytes = encoding == "SQL_ASCII"
        if any_bytes:  # else the server checks each text on its way out, and one bad one ends the read
            connection.run("select set_config('client_encoding', 'SQL_ASCII', true)")
    try:
        yield Snapshot(connection, table, x, xmax, standby, any_bytes)
    except BaseException:
        connection.spoiled = True
        raise
    if not connection.spoiled:
        with translating("source", table):
            connection.run("commit")
