"""One REPEATABLE READ snapshot on a connection for rows, and the rows of a table through it.

The lock comes before the snapshot. To a snapshot that is older than a TRUNCATE or an ALTER TABLE that rewrites, the
table looks empty once that has committed: https://www.postgresql.org/docs/current/mvcc-caveats.html
A SELECT takes its lock after its snapshot, and waits in between for just such a command.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa
from psycopg.sql import SQL, Composable, Literal

from pgsnow.model.errors import SchemaMoved
from pgsnow.model.plan import TablePlan
from pgsnow.postgres import sql
from pgsnow.postgres.catalog.describe import fingerprints_query
from pgsnow.postgres.connection import bounded_waits, session_settings
from pgsnow.postgres.convert.oversize import may_hold_long
from pgsnow.postgres.copy_connections import CopyConnection
from pgsnow.postgres.errors import translating
from pgsnow.postgres.incremental.horizon import READER_NAME
from pgsnow.postgres.read.prefetch import Prefetcher

LOCKABLE = frozenset({"r", "p", "v"})
"""Relkinds that LOCK TABLE takes; what is underneath (partitions, inheriting tables, a view's tables) comes with them.
A refreshed materialized view is whole to every snapshot, and a foreign table's rows are elsewhere.
https://www.postgresql.org/docs/current/sql-lock.html"""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An open READ ONLY transaction. x, xmax: every xid below x has ended, none from xmax on has begun."""

    connection: CopyConnection
    table: str
    x: int
    xmax: int
    standby: bool
    any_bytes: bool
    """The database does not check its text's encoding (SQL_ASCII), and hands it over as it is."""
    long_values: bool
    """There may be values longer than Snowflake takes; False where too little is stored out of line for one."""

    def fetch(self, query: Composable) -> list[tuple[object, ...]]:
        """A small answer. Raises SourceUnavailable, SourceTableMissing, …"""
        with translating("source", self.table):
            return self.connection.rows(sql.text_of(query))

    def batches(self, query: Composable) -> Generator[pa.RecordBatch]:
        """The query's rows as they come, fetched ahead by a thread. Closing the iterator cancels the query."""
        with (
            translating("source", self.table),
            self.connection.stream(sql.text_of(query)) as (reader, cancel),
            Prefetcher(reader, cancel) as stream,
        ):
            yield from stream


@contextmanager
def snapshot(connection: CopyConnection, plan: TablePlan) -> Iterator[Snapshot]:
    """A snapshot for this block, of the table that the plan was made for. After a failure inside it the connection is
    spoiled. Raises SchemaMoved if the table's definition is another one by now, SourceUnavailable if another session
    keeps it locked, SourceTableMissing, SourceAccessDenied."""
    table = str(plan.source.name)
    with translating("source", table):
        connection.run("begin isolation level repeatable read read only")
    try:
        with translating("source", table):
            now = _opened(connection, plan)
        _check_definition(now, plan)
        yield now
    except BaseException:
        connection.spoiled = True
        raise
    if not connection.spoiled:
        with translating("source", table):
            connection.run("commit")


def _opened(connection: CopyConnection, plan: TablePlan) -> Snapshot:
    """SET and LOCK take no snapshot; the first SELECT does."""
    connection.run(bounded_waits())
    if plan.source.relkind in LOCKABLE:
        connection.run(sql.text_of(SQL("lock table {} in access share mode").format(sql.table(plan))))
    # Its own name for the length of the transaction: the horizon leaves such readers out. While the last rows are
    # loaded the transaction is idle, and that is no mistake.
    own = {"application_name": READER_NAME, "idle_in_transaction_session_timeout": "0"}
    connection.run(session_settings(local=True, **own))
    ((x, xmax, standby, encoding, long_values),) = connection.rows(
        f"select {sql.text_of(sql.TXIDS)}, pg_is_in_recovery(), getdatabaseencoding()::text,"
        f" {sql.text_of(may_hold_long(plan))}"
    )
    any_bytes = encoding == "SQL_ASCII"
    if any_bytes:  # else the server checks each text on its way out, and one bad one ends the read
        connection.run("select set_config('client_encoding', 'SQL_ASCII', true)")
    return Snapshot(connection, str(plan.source.name), x, xmax, standby, any_bytes, long_values)


def _check_definition(now: Snapshot, plan: TablePlan) -> None:
    if plan.fingerprint is None:
        return
    found = now.fetch(fingerprints_query([plan.source.name]))
    if [fingerprint for *_, fingerprint in found] != [plan.fingerprint]:
        raise SchemaMoved(f"{plan.source.name}: the table was altered after its run was planned")


def check_still_there(now: Snapshot, plan: TablePlan) -> None:
    """Once all was read: what no lock could hold before the snapshot is still the same relation. Another one of that
    name, made after the snapshot, would have looked empty. Raises SchemaMoved."""
    if plan.source.relkind in LOCKABLE:
        return
    name = sql.text_of(sql.table(plan))
    # regclass looks at the present, not at the snapshot, and the query that read keeps its lock until the end.
    if now.fetch(SQL("select to_regclass({})::oid::bigint").format(Literal(name))) != [(plan.source.oid,)]:
        raise SchemaMoved(f"{plan.source.name}: the relation was replaced while it was read")
