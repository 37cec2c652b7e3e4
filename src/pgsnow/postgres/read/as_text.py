"""Rows as Postgres's own text: for comparisons that must not rely on the COPY decoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

import psycopg
from psycopg.sql import SQL, Composable, Identifier

from pgsnow.model.plan import TablePlan
from pgsnow.model.types.mapping import Field
from pgsnow.postgres import sql
from pgsnow.postgres.errors import translating
from pgsnow.postgres.read.snapshot import LOCKABLE

TextRow = tuple[str | None, ...]


def read_text(
    conn: psycopg.Connection, plan: TablePlan, fields: Sequence[Field], page: int
) -> Iterator[list[TextRow]]:
    """Every row that `where` admits, in one snapshot, `page` rows at a time; each row has one text (or None) per field.

    Bytes that are not UTF-8 (in a database with encoding SQL_ASCII) are shown as `\\xe9`, as in rejected keys.
    `conn` is in autocommit mode. Raises SourceUnavailable, SourceTableMissing, ColumnMissing.
    """
    query = SQL("select {} from {} where {}").format(
        _texts(fields), sql.table(plan), sql.both([sql.where_given(plan)])
    )
    yield from stream_text(conn, plan, query, page)


def stream_text(
    conn: psycopg.Connection, plan: TablePlan, query: Composable, page: int
) -> Iterator[list[TextRow]]:
    """The rows of a query for texts of the plan's table, otherwise as `read_text`."""
    with translating(str(plan.source.name)), conn.transaction():
        conn.execute("set transaction isolation level repeatable read read only")
        # before the snapshot, as in snapshot.py; a role with grants on single columns may not lock
        if plan.source.relkind in LOCKABLE:
            with suppress(psycopg.errors.InsufficientPrivilege), conn.transaction():
                conn.execute(SQL("lock table {} in access share mode").format(sql.table(plan)))
        statement = _encoded(conn, query)
        with conn.cursor(name="pgsnow_text") as cursor:
            cursor.execute(statement)
            while rows := cursor.fetchmany(page):
                yield [tuple(map(_shown, row)) for row in rows]


def read_text_of(
    conn: psycopg.Connection,
    plan: TablePlan,
    fields: Sequence[Field],
    condition: Composable,
    flag: Composable | None = None,
) -> list[tuple[bool, TextRow]]:
    """The rows that `where` admits and that meet the condition, as they are now: whether `flag` holds, and the texts of
    these fields. A few thousand rows at most. Raises what `read_text` raises."""
    query = SQL("select ({})::text, {} from {} where {}").format(
        flag or SQL("false"),
        _texts(fields),
        sql.table(plan),
        sql.both([condition, sql.where_given(plan)]),
    )
    with translating(str(plan.source.name)), conn.transaction():
        rows = conn.execute(_encoded(conn, query)).fetchall()
    return [(_shown(flagged) == "true", tuple(map(_shown, row))) for flagged, *row in rows]


def _texts(fields: Sequence[Field]) -> Composable:
    return SQL(", ").join(SQL(field.type.text).format(c=Identifier(field.source)) for field in fields)


def _encoded(conn: psycopg.Connection, query: Composable) -> bytes:
    """The statement, after which texts come as they are where the database does not check them."""
    statement = query.as_string(conn).encode()
    if conn.info.parameter_status("server_encoding") == "SQL_ASCII":
        conn.execute("select set_config('client_encoding', 'SQL_ASCII', true)")
    return statement


def _shown(value: str | bytes | None) -> str | None:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value
