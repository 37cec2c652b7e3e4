"""The key of a table as an expression of the source: how its columns are written, ordered, summed up, and whether an
index has their order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from pgsnow.model.key_range import MIXED_TOGETHER, MIXING_OFFSET, MIXING_PRIMES, Key, KeyRange
from pgsnow.model.plan import TablePlan
from pgsnow.model.types.canonical_text import CanonicalText, canonical_text
from pgsnow.model.types.mapping import Field
from pgsnow.postgres import sql

Fetch = Callable[[Composable], list[tuple[object, ...]]]
"""Runs a query in the source's snapshot, such as Snapshot.fetch."""
ROW_HASH = Identifier("__pgsnow_row_hash")
"""Name of the column with the hash of a row, where one is computed."""
HASH_TEXT = CanonicalText("{c}", "{c}", binary=True, bounds="[0-9a-f]{32}")
FLOAT_TEXT = CanonicalText("({c})::float8::text", "{c}", source_constant="{text}::float8")
"""Keys that only our side writes alike: no sums of them."""
HEX_INTEGERS_SINCE = 160_000
"""https://www.postgresql.org/docs/16/release-16.html (integers in hexadecimal)"""


@dataclass(frozen=True, slots=True)
class SourceColumn:
    """One column of the key. order: the expression that is compared. text: its canonical text. as_bytes: both are
    compared as bytes in UTF-8, because the database has another encoding."""

    order: Composable
    text: Composable
    kind: CanonicalText
    as_bytes: bool = False

    def constant(self, text: str) -> Composable:
        """A value of the column, given by its canonical text."""
        if self.as_bytes:
            return SQL("'\\x{}'::bytea").format(SQL(text.encode("utf-8", "surrogateescape").hex()))
        return SQL(self.kind.source_constant).format(text=sql.literal(text))


@dataclass(frozen=True, slots=True)
class SourceKey:
    """The key of a table. pieces: integer expressions, whose sums over the rows tell sets of keys apart; none for keys
    that the two sides write differently. served: a btree index has the key's order. present: the columns that may be
    NULL."""

    columns: tuple[SourceColumn, ...]
    pieces: tuple[Composable, ...]
    served: bool
    nullable: tuple[Composable, ...] = ()

    @property
    def order(self) -> Composable:
        """The expressions that are compared, separated by commas."""
        return SQL(", ").join(column.order for column in self.columns)

    @property
    def texts(self) -> list[Composable]:
        """The canonical texts of the key's columns."""
        return [column.text for column in self.columns]

    def before(self, bound: Key) -> Composable:
        """A condition: the row's key lies before this bound."""
        return self._compared("<", bound)

    def within(self, range_: KeyRange) -> Composable | None:
        """A condition: the row's key lies in the range; None if every key does."""
        first, end = range_.first, range_.end
        conditions = [
            None if first is None else self._compared(">=", first),
            None if end is None else self._compared("<", end),
        ]
        return sql.both(conditions) if any(conditions) else None

    def _compared(self, operator: str, bound: Key) -> Composable:
        values = SQL(", ").join(c.constant(text) for c, text in zip(self.columns, bound, strict=True))
        form = "{} " + operator + " {}" if len(bound) == 1 else "({}) " + operator + " ({})"
        return SQL(form).format(self.order, values)


def source_key(fetch: Fetch, plan: TablePlan, *, hashed: bool = False) -> SourceKey:
    """The key of the plan's table; of one without a key, or if `hashed`, the hash of its rows. One short query."""
    if hashed or not plan.key:
        column = SourceColumn(SQL('{} collate "C"').format(ROW_HASH), ROW_HASH, HASH_TEXT)
        return SourceKey((column,), hash_pieces(ROW_HASH)[:1], served=False)
    facts = _facts(fetch, plan)
    columns = tuple(_column(field, binary, facts.as_bytes) for field, binary in zip(
        plan.key, facts.binary, strict=True))  # fmt: skip
    served = (
        facts.served and all(map(_is_indexed_as_it_is, plan.key)) and not any(c.as_bytes for c in columns)
    )
    return SourceKey(
        columns,
        _pieces(plan.key, columns, facts.server_version),
        served,
        tuple(Identifier(f.source) for f in plan.key if _may_be_null(plan, f.source)),
    )


def hash_pieces(digest: Composable, server_version: int = 0) -> tuple[Composable, Composable]:
    """Integers below 2^60 from the first and the second 15 digits of an MD5, given as text. server_version: bit(60),
    which every server knows, takes longer than an integer in hexadecimal."""
    form = "('0x' || substr({}, {}, 15))::bigint" if server_version >= HEX_INTEGERS_SINCE else _BITS
    return SQL(form).format(digest, Literal(1)), SQL(form).format(digest, Literal(16))


_BITS = "('x' || substr({}, {}, 15))::bit(60)::bigint"


@dataclass(frozen=True, slots=True)
class _Facts:
    server_version: int
    as_bytes: bool
    binary: tuple[bool, ...]
    """For each column of the key: its own collation orders by bytes (True for a type without a collation)."""
    served: bool


_FACTS = SQL("""
select current_setting('server_version_num')::int, getdatabaseencoding()::text, key.bytewise, exists (
  select from pg_index i join pg_class x on x.oid = i.indexrelid join pg_am m on m.oid = x.relam
  where i.indrelid = {oid} and i.indisvalid and i.indpred is null and m.amname = 'btree'
    and i.indnkeyatts >= cardinality(key.numbers)
    and not exists (
      select from generate_subscripts(key.numbers, 1) as n
      where i.indkey[n - 1] <> key.numbers[n] or i.indoption[n - 1] & 1 <> 0
         or i.indcollation[n - 1] <> case when key.bytewise[n] then key.collations[n] else {c}::regcollation::oid end))
from (
  select array_agg(a.attnum order by k.place), array_agg(a.attcollation order by k.place),
         array_agg(a.attcollation = 0 or c.oid in (950, 951) or c.collprovider = 'b'
                   or c.collprovider = 'd' and d.is_binary order by k.place)
  from unnest({names}::text[]) with ordinality as k(name, place)
  join pg_attribute a on a.attrelid = {oid} and a.attname = k.name
  left join pg_collation c on c.oid = a.attcollation
  cross join (select coalesce(to_jsonb(pg_database) ->> 'datlocprovider', 'c') = 'b'
                or coalesce(to_jsonb(pg_database) ->> 'datlocprovider', 'c') = 'c'
                   and datcollate in ('C', 'POSIX')
              from pg_database where datname = current_database()) as d(is_binary)
) as key(numbers, collations, bytewise)
""")
"""The server's version; the database's encoding; which of the key's columns have a collation that orders by bytes (950
is "C", 951 "POSIX"); whether a valid btree index begins with the key's columns in their order, in the collation in
which we compare them.
https://www.postgresql.org/docs/current/catalog-pg-index.html, catalog-pg-collation.html"""


def _facts(fetch: Fetch, plan: TablePlan) -> _Facts:
    query = _FACTS.format(
        oid=Literal(plan.source.oid),
        names=Literal([field.source for field in plan.key]),
        c=Literal('pg_catalog."C"'),
    )
    ((version, encoding, binary, served),) = fetch(query)
    names = binary if isinstance(binary, list) else []
    return _Facts(
        int(str(version)), encoding not in ("UTF8", "SQL_ASCII"), tuple(map(bool, names)), bool(served)
    )


def _is_indexed_as_it_is(field: Field) -> bool:
    """True if the column itself is compared, not an expression of it, which no index has."""
    family = field.type.snowflake.partition("(")[0]
    return family not in ("VARCHAR", "FLOAT") or field.type.postgres in ("uuid", "text", "varchar")


def _column(field: Field, binary: bool, as_bytes: bool) -> SourceColumn:
    name = Identifier(field.source)
    kind = canonical_text(field)
    if kind is None:
        return SourceColumn(
            sql.value_of(field), SQL(FLOAT_TEXT.source).format(c=sql.value_of(field)), FLOAT_TEXT
        )
    text = SQL(kind.source).format(c=name)
    if not kind.binary or field.type.postgres == "uuid":
        return SourceColumn(name, text, kind)
    if as_bytes:
        return SourceColumn(SQL("convert_to({}, 'UTF8')").format(text), text, kind, as_bytes=True)
    plain = field.type.postgres in ("text", "varchar")
    order = name if plain else text
    return SourceColumn(order if plain and binary else SQL('{} collate "C"').format(order), text, kind)


def _pieces(
    key: Sequence[Field], columns: Sequence[SourceColumn], server_version: int
) -> tuple[Composable, ...]:
    if any(column.kind is FLOAT_TEXT for column in columns):
        return ()
    if len(columns) <= MIXED_TOGETHER and all(column.kind.whole for column in columns):
        values = [SQL("({}::bigint)").format(column.order) for column in columns]
        return (*values, _mixed(values))
    if len(columns) == 1:
        return hash_pieces(_md5(columns[0]), server_version)[:1]
    parts = [_part(field, column) for field, column in zip(key, columns, strict=True)]
    return hash_pieces(SQL("md5({})").format(SQL(" || ',' || ").join(parts)), server_version)[:1]


def _part(field: Field, column: SourceColumn) -> Composable:
    """A text without commas, so that the texts of several columns joined by commas are those of one key alone."""
    free = column.kind.binary and field.type.postgres != "uuid"
    return _md5(column) if free else column.text


def _md5(column: SourceColumn) -> Composed:
    return SQL("md5({})").format(column.order if column.as_bytes else column.text)


def _mixed(values: Sequence[Composable]) -> Composed:
    """An integer below 2^62 that depends on the key in no simple way, so that two sets of keys with the same number and
    the same sums, such as 1 and 4, 2 and 3, have different sums of it."""
    p, q, r = map(Literal, MIXING_PRIMES)
    step = SQL("(({v} % {p}) * ({v} % {p} + {k}) % {q})")
    mixed = step.format(v=values[0], p=p, q=q, k=Literal(MIXING_OFFSET))
    for value in values[1:]:
        both = SQL("({} + {} % {})").format(mixed, value, p)
        mixed = step.format(v=both, p=p, q=q, k=Literal(MIXING_OFFSET))
    return SQL("({} * ({} % {}))").format(mixed, values[0], r) if len(values) == 1 else mixed


def _may_be_null(plan: TablePlan, name: str) -> bool:
    column = plan.source.column(name)
    return column is None or not column.not_null
