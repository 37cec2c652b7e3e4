"""Text that is not UTF-8, although it should be: a database with encoding SQL_ASCII may hold any bytes, also in the
names of its catalog, and names of roles and databases are in the encoding of the database that they were created from.

https://www.postgresql.org/docs/current/multibyte.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.types.string import TextLoader


class NotUtf8(str):
    r"""Text as people are shown it: a byte that is not UTF-8 as `\xe9`. It is not the name that Postgres knows."""

    __slots__ = ()


class _AnyBytesLoader(TextLoader):
    def load(self, data: Any) -> str:
        try:
            return bytes(data).decode()
        except UnicodeDecodeError:
            return NotUtf8(bytes(data).decode("utf-8", "backslashreplace"))


@contextmanager
def any_bytes(conn: psycopg.Connection[Any]) -> Iterator[None]:
    """A transaction for the length of a `with` block, in which text of any bytes can be received; what is not UTF-8 is
    a NotUtf8. For cursors that are opened in the block. Takes no snapshot."""
    _load_by(conn, _AnyBytesLoader)
    try:
        with conn.transaction():
            if (
                conn.info.parameter_status("server_encoding") == "SQL_ASCII"
            ):  # else Postgres refuses to send it
                conn.execute("set local client_encoding to 'SQL_ASCII'")
            yield
    finally:
        _load_by(conn, TextLoader)


def _load_by(conn: psycopg.Connection[Any], loader: type[TextLoader]) -> None:
    for name in ("text", "varchar", "name"):
        conn.adapters.register_loader(name, loader)


def misnamed(
    oid: int, schema: str, table: str, columns: Iterable[tuple[int, str]] = ()
) -> tuple[str, str] | None:
    """Why a table cannot be named in a configuration, and the statement that renames what is in its way; None: it can.

    columns: (attnum, name). The statement finds the name by number, because it cannot be written."""
    if isinstance(schema, NotUtf8):
        return _problem("its schema", schema, _RENAME_SCHEMA.format(oid=oid))
    if isinstance(table, NotUtf8):
        return _problem("the table", table, _RENAME_TABLE.format(oid=oid))
    for attnum, name in columns:
        if isinstance(name, NotUtf8):
            return _problem("a column", name, _RENAME_COLUMN.format(oid=oid, attnum=attnum))
    return None


_RENAME_SCHEMA = (
    "format('ALTER SCHEMA %I RENAME TO new_name', (select n.nspname from pg_namespace n"
    " join pg_class c on c.relnamespace = n.oid where c.oid = {oid}))"
)
_RENAME_TABLE = "format('ALTER TABLE %s RENAME TO new_name', {oid}::regclass)"
_RENAME_COLUMN = (
    "format('ALTER TABLE %s RENAME COLUMN %I TO new_name', {oid}::regclass,"
    " (select attname from pg_attribute where attrelid = {oid} and attnum = {attnum}))"
)


def _problem(what: str, name: str, statement: str) -> tuple[str, str]:
    return f"the name of {what} is not UTF-8: {name}", f"DO $$BEGIN EXECUTE {statement}; END$$;"
