"""A REPEATABLE READ snapshot of one table, and reading through it.

The lock comes before the snapshot. To a snapshot that is older than a TRUNCATE or an ALTER TABLE that rewrites, the
table looks empty once that has committed: https://www.postgresql.org/docs/current/mvcc-caveats.html
A SELECT takes its lock after its snapshot, and may wait for such a command in between.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
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

_BEGIN = "begin isolation level repeatable read read only"
LOCKABLE = frozenset({"r", "p", "v"})
"""Relkinds that LOCK TABLE takes, from a role that may SELECT the whole table; what is underneath (partitions, child
tables, a view's tables) is locked with them.
A refreshed materialized view is whole in every snapshot, and a foreign table's rows are elsewhere.
https://www.postgresql.org/docs/current/sql-lock.html"""

# regclass sees the present, not the snapshot; the lock of the query that read lasts until the transaction ends.
_NAMES_ANOTHER = SQL("select to_regclass({})::oid::bigint is distinct from {}")

# What this transaction has locked: was it another file to the snapshot? A snapshot that is older than a TRUNCATE or a
# rewriting ALTER TABLE shows no rows. pg_relation_filenode sees the present, pg_class the snapshot.
_HAS_OTHER_FILES = SQL("""
select coalesce(bool_or(c.oid is null or c.relkind in ('r', 'm') and c.relfilenode <> 0
                        and pg_relation_filenode(c.oid) is distinct from c.relfilenode), false)
from pg_locks l left join pg_class c on c.oid = l.relation
where l.pid = pg_backend_pid() and l.locktype = 'relation'
  and l.database = (select oid from pg_database where datname = current_database())
""")


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
    enums: frozenset[int]
    """Oids of the table's enum types, whose values are sent as their labels."""
    replaced: Composable | None = None
    """Where the table could not be locked before the snapshot: a query, for after a read, whether the table was
    replaced in between."""
    lsn: int | None = None
    """As in Position; None unless it was asked for."""

    def fetch(self, query: Composable) -> list[tuple[object, ...]]:
        """Run a query and return its rows. Raises SourceUnavailable, SourceTableMissing, SourceQueryFailed."""
        with translating(self.table):
            return self.connection.rows(sql.text_of(query))

    def batches(self, query: Composable) -> Generator[pa.RecordBatch]:
        """The query's rows as they come, prefetched by a thread. Closing the iterator cancels the query.

        Raises SourceUnavailable, SourceQueryFailed, and, after the last row, SchemaMoved if the table was replaced
        between the snapshot and the lock of the query."""
        with (
            translating(self.table),
            self.connection.stream(sql.text_of(query), self.enums) as (reader, cancel),
            Prefetcher(reader, cancel) as stream,
        ):
            yield from stream
        if self.replaced is not None and self.fetch(self.replaced) != [(False,)]:
            raise SchemaMoved(f"{self.table}: the relation was replaced while it was read")


@contextmanager
def open_snapshot(
    connection: CopyConnection, plan: TablePlan, *, reads_log: bool = False
) -> Iterator[Snapshot]:
    """A snapshot for the length of a `with` block, of the table that the plan was made for. After a failure inside it
    the connection is spoiled. reads_log: set Snapshot.lsn.

    Raises SchemaMoved if the table's definition has changed since, SourceUnavailable if another session keeps it
    locked, SourceTableMissing, SourceAccessDenied."""
    table = str(plan.source.name)
    try:
        with translating(table):
            snap = _begun(connection, plan, sql.LSN if reads_log else sql.NO_LSN)
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


def _begun(connection: CopyConnection, plan: TablePlan, lsn: Composable) -> Snapshot:
    """Locks the table, then takes the snapshot: SET and LOCK take none, the first SELECT does."""
    begin = f"{_BEGIN}; {local_settings(READ_SETTINGS, connection.server_version)}"
    replaced: Composable | None = _NAMES_ANOTHER.format(
        Literal(sql.text_of(sql.table(plan))), Literal(plan.source.oid)
    )
    if plan.source.relkind in LOCKABLE:
        replaced = _HAS_OTHER_FILES if plan.source.unreadable else None
    if replaced is not None:
        connection.run(begin)
    else:
        lock = SQL("lock table {} in access share mode").format(sql.table(plan))
        try:
            connection.run(f"{begin}; {sql.text_of(lock)}")
        except psycopg.Error as error:
            if error.sqlstate != "42501":
                raise
            replaced = _HAS_OTHER_FILES  # whether the rows may be read, the query will show
            connection.run("rollback")
            connection.run(begin)
    ((x, xmax, standby, encoding, oversize, end),) = connection.rows(
        f"select {sql.text_of(sql.TXIDS)}, pg_is_in_recovery(), getdatabaseencoding()::text,"
        f" {sql.text_of(may_hold_oversize(plan))}, {sql.text_of(lsn)}"
    )
    unchecked_text = encoding == "SQL_ASCII"
    if unchecked_text:  # else the server checks each text, and a bad one ends the read
        connection.run("select set_config('client_encoding', 'SQL_ASCII', true)")
    enums = frozenset(column.type_oid for column in plan.source.columns if column.kind == "e")
    return Snapshot(
        connection, str(plan.source.name), x, xmax, standby, unchecked_text, oversize, enums, replaced, end
    )
