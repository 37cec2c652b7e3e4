"""Values that only the source can convert: it is given their texts, and reads them as it reads a column.

For arrays, composite types, ranges in a key, types of extensions and the like.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa
from psycopg.sql import SQL, Composable, Identifier, Literal

from pgsnow.model.errors import PgsnowError, RelationChanged, SourceUnavailable
from pgsnow.model.plan import TablePlan
from pgsnow.model.table import Column
from pgsnow.model.types.mapping import Field
from pgsnow.postgres import sql
from pgsnow.postgres.connection import READ_SETTINGS, Source, local_settings
from pgsnow.postgres.copy_connections import CopyConnection
from pgsnow.postgres.errors import translating

_OWN_CASTS = SQL(
    "select castsource::bigint from pg_cast where casttarget = 'text'::regtype and castmethod = 'f'"
    " and castsource = any ({}::oid[])"
)
_NAMES = SQL("select format_type(oid, typmod) from unnest({}::oid[], {}::int[]) t(oid, typmod)")
_BASE = SQL("""
with recursive base(oid, modifier) as (
    select {oid}::oid, {modifier}::int
    union all
    select typbasetype, typtypmod from base join pg_type on pg_type.oid = base.oid where typtype = 'd'
)
select base.oid::bigint, base.modifier from base join pg_type on pg_type.oid = base.oid where typtype <> 'd'
""")
_BYTES_AS_THEY_ARE = (
    "select set_config('client_encoding', 'SQL_ASCII', true) where getdatabaseencoding() = 'SQL_ASCII'"
)
"""Such a database does not check its texts, and would refuse to send some of them as UTF-8."""


class SourceValues:
    """Asks the source about the values of one table. Close it."""

    def __init__(self, source: Source, plan: TablePlan) -> None:
        self._source = source
        self._plan = plan
        self._table = str(plan.source.name)
        self._names: dict[str, str] = {}

    def own_casts(self, oids: Sequence[int]) -> frozenset[int]:
        """Those of these types whose cast to text is not their output function."""
        if not oids:
            return frozenset()
        with self._transaction() as connection:
            rows = connection.rows(sql.text_of(_OWN_CASTS.format(_oids(oids))))
        return frozenset(int(oid) for (oid,) in rows)

    def base_of(self, oid: int, modifier: int) -> tuple[int, int] | None:
        """The type under all domains, and its modifier; None: the type does not exist any more."""
        with self._transaction() as connection:
            rows = connection.rows(sql.text_of(_BASE.format(oid=Literal(oid), modifier=Literal(modifier))))
        return (int(rows[0][0]), int(rows[0][1])) if rows else None

    def converted(self, field: Field, column: Column, texts: pa.Array) -> pa.Array:
        """The column that COPY would deliver for these texts (string). Equal ones are sent once.

        Raises RelationChanged if the source does not accept them: the type was altered since; SourceUnavailable."""
        encoded = texts.dictionary_encode()
        distinct = encoded.dictionary.cast(pa.binary()).to_pylist()
        if not distinct:
            return pa.nulls(len(texts), pa.string())
        try:
            with self._transaction() as connection:
                if field.source not in self._names:
                    named = _NAMES.format(_oids([column.type_oid]), Literal([column.typmod]))
                    ((name,),) = connection.rows(sql.text_of(named))
                    self._names[field.source] = name
                query = _query(field, self._names[field.source], distinct)
                enums = {column.type_oid} if column.kind == "e" else set()
                with connection.stream(sql.text_of(query), enums) as (batches, _cancel):
                    found = pa.Table.from_batches(list(batches)).column(0).combine_chunks()
        except SourceUnavailable:
            raise
        except PgsnowError as error:
            raise RelationChanged(
                f"{self._table}: column {field.source}: the source does not accept values from the log: {error}"
            ) from error
        return found.take(encoded.indices)

    @contextmanager
    def _transaction(self) -> Iterator[CopyConnection]:
        with translating(self._table), self._source.copy_connection() as connection:
            settings = local_settings(READ_SETTINGS, connection.server_version)
            connection.run(
                f"begin isolation level read committed read only; {settings}; {_BYTES_AS_THEY_ARE}"
            )
            yield connection
            connection.run("commit")


def _oids(oids: Sequence[int]) -> Composable:
    return Literal("{" + ",".join(map(str, oids)) + "}")


def _query(field: Field, type_name: str, texts: Sequence[bytes]) -> Composable:
    """The texts as values of their type, in order, read as a column is."""
    name = Identifier(field.source)
    return SQL(
        "select {} as {} from (select at, t::{} as {} from unnest({}::text[]) with ordinality given(t, at)"
        " offset 0) v order by at"
    ).format(sql.sent_value(field), name, sql.raw(type_name), name, sql.literal(_array(texts)))


def _array(texts: Sequence[bytes]) -> str:
    """The literal of a text array. https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO"""
    quoted = (b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"' for text in texts)
    return (b"{" + b",".join(quoted) + b"}").decode("utf-8", "surrogateescape")
