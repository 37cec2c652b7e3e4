"""Rows as Postgres's own text: for comparisons that must not rely on the COPY decoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

import psycopg
from psycopg import sql

from pgsnow.model.plan import TablePlan
from pgsnow.model.types.mapping import Field
from pgsnow.postgres.errors import translating
from pgsnow.postgres.read.snapshot import LOCKABLE


def read_text(
    conn: psycopg.Connection, plan: TablePlan, fields: Sequence[Field], page: int
) -> Iterator[list[tuple[str | None, ...]]]:
    """Every row that `where` admits, in one snapshot, `page` rows at a time; each row has one text (or None) per field.

    Bytes that are not UTF-8 (in a database with encoding SQL_ASCII) are shown as `\\xe9`, as in rejected keys.
    `conn` is in autocommit mode. Raises SourceUnavailable, SourceTableMissing, ColumnMissing.
    """
    columns = sql.SQL(", ").join(
        sql.SQL(field.type.text).format(c=sql.Identifier(field.source)) for field in fields
    )
    where = sql.SQL(f" where ({plan.config.where})") if plan.config.where else sql.SQL("")
    table = sql.Identifier(plan.source.name.schema, plan.source.name.table)
    query = sql.SQL("select {} from {}{}").format(columns, table, where)
    with translating(str(plan.source.name)), conn.transaction():
        conn.execute("set transaction isolation level repeatable read read only")
        # before the snapshot, as in snapshot.py; a role with grants on single columns may not lock
        if plan.source.relkind in LOCKABLE:
            with suppress(psycopg.errors.InsufficientPrivilege), conn.transaction():
                conn.execute(sql.SQL("lock table {} in access share mode").format(table))
        statement = query.as_string(conn).encode()
        if conn.info.parameter_status("server_encoding") == "SQL_ASCII":
            conn.execute("select set_config('client_encoding', 'SQL_ASCII', true)")
        with conn.cursor(name="pgsnow_text") as cursor:
            cursor.execute(statement)
            while rows := cursor.fetchmany(page):
                yield [tuple(map(_shown, row)) for row in rows]


def _shown(value: str | bytes | None) -> str | None:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value
