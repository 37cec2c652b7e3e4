"""A REPEATABLE READ snapshot of one table, and reading through it.

The lock comes before the snapshot. To a snapshot that is older than a TRUNCATE or an ALTER TABLE that rewrites, the
table looks empty once that has committed: https://www.postgresql.org/docs/current/mvcc-caveats.html
A SELECT takes its lock after its snapshot, and may wait for such a command in between.
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
from pgsnow.postgres.connection import READ_SETTINGS, local_settings
from pgsnow.postgres.convert.oversize import may_hold_oversize
from pgsnow.postgres.copy_connections import CopyConnection
from pgsnow.postgres.errors import translating
from pgsnow.postgres.read.prefetch import Prefetcher

LOCKABLE = frozenset({"r", "p", "v"})
"""Relkinds that LOCK TABLE takes; what is underneath (partitions, child tables, a view's tables) is locked with them.
A refreshed materialized view is whole in every snapshot, and a foreign table's rows are elsewhere.
https://www.postgresql.org/docs/current/sql-lock.html"""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An open READ ONLY transaction. x, xmax: every xid below x has ended, none from xmax on has begun."""

    connection: CopyConnection
    table: str
    x: int
    xmax: int
    standby: bool
    unchecked_text: bool
    """The database does not check its text's encoding (SQL_ASCII), and returns it as it is."""
    may_hold_oversize: bool
    """There may be values longer than Snowflake takes; False where too little is stored out of line for one."""

    def fetch(self, query: Composable) -> list[tuple[object, ...]]:
        """Run a query and return its rows. Raises SourceUnavailable, SourceTableMissing, SourceQueryFailed."""
        with translating(self.table):
            return self.connection.rows(sql.text_of(query))

    def batches(self, query: Composable) -> Generator[pa.RecordBatch]:
        """The query's rows as they come, prefetched by a thread. Closing the iterator cancels the query.

        Raises SourceUnavailable, SourceQueryFailed."""
        with (
            translating(self.table),
            self.connection.stream(sql.text_of(query)) as (reader, cancel),
            Prefetcher(reader, cancel) as stream,
        ):
            yield from stream


@contextmanager
def open_snapshot(connection: CopyConnection, plan: TablePlan) -> Iterator[Snapshot]:
    """A snapshot for the length of a `with` block, of the table that the plan was made for. After a failure inside it
    the connection is spoiled.

    Raises SchemaMoved if the table's definition has changed since, SourceUnavailable if another session keeps it
    locked, SourceTableMissing, SourceAccessDenied."""
    table = str(plan.source.name)
    try:
        with translating(table):
            snap = _begun(connection, plan)
        if plan.fingerprint is not None:
            found = snap.fetch(fingerprints_query([plan.source.name]))
            if [fingerprint for *_, fingerprint in found] != [plan.fingerprint]:
                raise SchemaMoved(f"{table}: the table was altered after its run was planned")
        yield snap
    except BaseException:
        connection.spoiled = True
        raise
    if not connection.spoiled:
        with translating(table):
            connection.run("commit")


def _begun(connection: CopyConnection, plan: TablePlan) -> Snapshot:
    """Locks the table, then takes the snapshot: SET and LOCK take none, the first SELECT does."""
    begin = ["begin isolation level repeatable read read only"]
    begin.append(local_settings(READ_SETTINGS, connection.server_version))
    if plan.source.relkind in LOCKABLE:
        begin.append(sql.text_of(SQL("lock table {} in access share mode").format(sql.table(plan))))
    connection.run("; ".join(begin))
    ((x, xmax, standby, encoding, oversize),) = connection.rows(
        f"select {sql.text_of(sql.TXIDS)}, pg_is_in_recovery(), getdatabaseencoding()::text,"
        f" {sql.text_of(may_hold_oversize(plan))}"
    )
    unchecked_text = encoding == "SQL_ASCII"
    if unchecked_text:  # else the server checks each text, and a bad one ends the read
        connection.run("select set_config('client_encoding', 'SQL_ASCII', true)")
    return Snapshot(connection, str(plan.source.name), x, xmax, standby, unchecked_text, oversize)


def check_not_replaced(snap: Snapshot, plan: TablePlan) -> None:
    """After all rows were read: a relation that could not be locked before the snapshot is still the same one. Another
    relation of that name, created after the snapshot, would have looked empty. Raises SchemaMoved."""
    if plan.source.relkind in LOCKABLE:
        return
    name = sql.text_of(sql.table(plan))
    # regclass sees the present, not the snapshot; the lock of the query that read lasts until the transaction ends.
    if snap.fetch(SQL("select to_regclass({})::oid::bigint").format(Literal(name))) != [(plan.source.oid,)]:
        raise SchemaMoved(f"{plan.source.name}: the relation was replaced while it was read")
