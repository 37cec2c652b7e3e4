"""Values that only the source can convert: it is given their texts, and reads them as it reads a column.

For arrays, composite types, ranges in a key, types of extensions and the like.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import pyarrow as pa
from psycopg.sql import SQL, Composable, Identifier, Literal

from pgsnow.model.errors import LogUnusable, PgsnowError, RelationChanged, SourceUnavailable
from pgsnow.model.plan import TablePlan
from pgsnow.model.table import Column
from pgsnow.model.types.mapping import Field
from pgsnow.postgres import sql
from pgsnow.postgres.connection import READ_SETTINGS, Source, local_settings
from pgsnow.postgres.copy_connections import CopyConnection
from pgsnow.postgres.errors import translating
from pgsnow.postgres.replication.values.row_condition import why_not_of_row

_OWN_CASTS = SQL(
    "select castsource::bigint from pg_cast where casttarget = 'text'::regtype and castmethod = 'f'"
    " and castsource = any ({}::oid[])"
)
_NAMES = SQL("select format_type(oid, typmod) from unnest({}::oid[], {}::int[]) t(oid, typmod)")
_BASES = SQL("""
with recursive base(place, oid, modifier) as (
    select place, oid, modifier from unnest({}::oid[], {}::int[]) with ordinality t(oid, modifier, place)
    union all
    select place, typbasetype, typtypmod from base join pg_type on pg_type.oid = base.oid where typtype = 'd'
)
select place, base.oid::bigint, base.modifier
from base join pg_type on pg_type.oid = base.oid where typtype <> 'd'
""")
_FORMULAS = SQL(
    "select a.attname::text, pg_get_expr(d.adbin, d.adrelid) from pg_attribute a join pg_attrdef d"
    " on d.adrelid = a.attrelid and d.adnum = a.attnum where a.attrelid = {} and a.attname = any ({}::text[])"
)
_PLACE, _MET = "pgsnow place", "pgsnow met"
"""Names of columns in queries for many rows: the row's number, and whether it meets the condition."""
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
        self._is_of_row = False

    def own_casts(self, oids: Sequence[int]) -> frozenset[int]:
        """Those of these types whose cast to text is not their output function."""
        if not oids:
            return frozenset()
        with self._transaction() as connection:
            rows = connection.rows(sql.text_of(_OWN_CASTS.format(_oids(oids))))
        return frozenset(int(oid) for (oid,) in rows)

    def bases(self, types: Sequence[tuple[int, int]]) -> dict[tuple[int, int], tuple[int, int]]:
        """For each of these types (oid, modifier) the one under all domains. Types that do not exist any more are left
        out."""
        oids, modifiers = _oids([oid for oid, _ in types]), Literal([modifier for _, modifier in types])
        with self._transaction() as connection:
            rows = connection.rows(sql.text_of(_BASES.format(oids, modifiers)))
        return {types[int(place) - 1]: (int(oid), int(modifier)) for place, oid, modifier in rows}

    def converted(self, field: Field, column: Column, texts: pa.Array) -> pa.Array:
        """The column that COPY would deliver for these texts (string). Equal ones are sent once.

        Raises RelationChanged if the source does not accept them: the type was altered since; SourceUnavailable."""
        encoded = texts.dictionary_encode()
        distinct = encoded.dictionary.cast(pa.binary()).to_pylist()
        if not distinct:
            return pa.nulls(len(texts), pa.string())
        with self._translated(f"column {field.source}"), self._transaction() as connection:
            if field.source not in self._names:
                self._names |= self._type_names(connection, [column])
            query = _query(field, self._names[field.source], distinct)
            enums = {column.type_oid} if column.kind == "e" else set()
            with connection.stream(sql.text_of(query), enums) as (batches, _cancel):
                found = pa.Table.from_batches(list(batches)).column(0).combine_chunks()
        return found.take(encoded.indices)

    def evaluated(
        self,
        texts: Mapping[str, pa.Array],
        condition: str | None,
        generated: Sequence[str],
        computed: Sequence[Field],
    ) -> tuple[pa.Array, list[pa.Array]]:
        """For rows with these columns (texts): which of them meet the condition (booleans), and the columns that the
        source computes from others, as COPY would deliver them. generated: columns that are not among the texts.

        Raises LogUnusable if the condition depends on more than the row, RelationChanged if the source does not accept
        the values, SourceUnavailable."""
        with self._translated("a row"), self._transaction() as connection:
            if condition is not None and not self._is_of_row:
                self._check_condition(connection, condition)
            named = self._type_names(connection, [self._column(name) for name in texts])
            formulas = self._formulas(connection, generated) if generated else {}
            query = _evaluation(self._plan, texts, named, condition, computed, formulas)
            enums = {self._column(field.source).type_oid for field in computed}
            enums = {column.type_oid for column in self._plan.source.columns if column.kind == "e"} & enums
            with connection.stream(sql.text_of(query), enums) as (batches, _cancel):
                found = pa.Table.from_batches(list(batches))
        columns = [column.combine_chunks() for column in found.columns]
        return columns[0], columns[1:]

    def _check_condition(self, connection: CopyConnection, condition: str) -> None:
        why = why_not_of_row(lambda query: connection.rows(sql.text_of(query)), condition)
        if why:
            raise LogUnusable(
                f"{self._table}: rows of the log cannot be judged by `where`: {why}",
                advice="Write a condition of the row's columns alone, or another `mode`; until then the table is read"
                " without the log.",
            )
        self._is_of_row = True

    def _column(self, name: str) -> Column:
        return next(column for column in self._plan.source.columns if column.name == name)

    def _type_names(self, connection: CopyConnection, columns: Sequence[Column]) -> dict[str, str]:
        """The columns' base types in SQL."""
        oids, modifiers = _oids([c.type_oid for c in columns]), Literal([c.typmod for c in columns])
        rows = connection.rows(sql.text_of(_NAMES.format(oids, modifiers)))
        return {column.name: str(name) for column, (name,) in zip(columns, rows, strict=True)}

    def _formulas(self, connection: CopyConnection, generated: Sequence[str]) -> dict[str, str]:
        """The expressions of generated columns."""
        names = Literal([*generated])
        rows = connection.rows(sql.text_of(_FORMULAS.format(Literal(self._plan.source.oid), names)))
        return {str(name): str(formula) for name, formula in rows}

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        """Translates what the source says of values that it does not accept."""
        try:
            yield
        except (SourceUnavailable, LogUnusable):
            raise
        except PgsnowError as error:
            raise RelationChanged(
                f"{self._table}: {what}: the source does not accept values from the log: {error}"
            ) from error

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


def _evaluation(
    plan: TablePlan,
    texts: Mapping[str, pa.Array],
    type_names: Mapping[str, str],
    condition: str | None,
    computed: Sequence[Field],
    formulas: Mapping[str, str],
) -> Composable:
    """Rows of these texts, in order, under the table's name: whether they meet the condition, and computed columns."""
    given = [Identifier(f"given {at}") for at in range(len(texts))]
    arrays = [
        SQL("{}::text[]").format(sql.literal(_array(column.cast(pa.binary()).to_pylist())))
        for column in texts.values()
    ]
    values = [
        SQL("{}::{} as {}").format(text, sql.raw(type_names[name]), Identifier(name))
        for text, name in zip(given, texts, strict=True)
    ]
    row = SQL("select {} from unnest({}) with ordinality given({}) offset 0").format(
        SQL(", ").join([Identifier(_PLACE), *values]),
        SQL(", ").join(arrays),
        SQL(", ").join([*given, Identifier(_PLACE)]),
    )
    made = [
        SQL("({}\n) as {}").format(sql.raw(formula), Identifier(name)) for name, formula in formulas.items()
    ]
    table = Identifier(plan.source.name.table)
    met = SQL("true") if condition is None else SQL("coalesce(({}\n), false)").format(sql.raw(condition))
    return SQL("select {} from (select {} from ({}) v) {} order by {}").format(
        sql.named([(met, _MET), *((sql.sent_value(field), field.source) for field in computed)]),
        SQL(", ").join([SQL("v.*"), *made]),
        row,
        table,
        Identifier(_PLACE),
    )


def _array(texts: Sequence[bytes | None]) -> str:
    """The literal of a text array. https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO"""
    quoted = (
        b"NULL" if text is None else b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
        for text in texts
    )
    return (b"{" + b",".join(quoted) + b"}").decode("utf-8", "surrogateescape")
