"""What a table is, on either side. Identifiers here are raw (unquoted); quoting is done where SQL is composed."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PLAIN = re.compile(r"[a-z_][a-z0-9_$]*\Z")
_PART = re.compile(r'"((?:[^"]|"")+)"|([^".\s]+)')


def split_name(text: str) -> tuple[tuple[str, bool], ...]:
    """`a."B.c"` → (("a", False), ("B.c", True)): each part and whether it was quoted. ValueError if malformed."""
    parts: list[tuple[str, bool]] = []
    at = 0
    while True:
        match = _PART.match(text, at)
        if match is None:
            raise ValueError(f"{text!r} is not a table name")
        quoted, bare = match.groups()
        parts.append((quoted.replace('""', '"'), True) if quoted is not None else (bare, False))
        at = match.end()
        if at == len(text):
            return tuple(parts)
        if text[at] != ".":
            raise ValueError(f"{text!r} is not a table name")
        at += 1


@dataclass(frozen=True, slots=True, order=True)
class SourceName:
    """A Postgres table: `schema.table`, case as Postgres keeps it."""

    schema: str
    table: str

    @classmethod
    def parse(cls, text: str) -> SourceName:
        """`users`, `public.users`, `public."Users"`. Unquoted parts fold to lower case, as in Postgres."""
        parts = [part if quoted else part.lower() for part, quoted in split_name(text)]
        if len(parts) > 2:
            raise ValueError(f"{text!r} has {len(parts)} parts; write schema.table")
        return cls(*(["public", *parts] if len(parts) == 1 else parts))

    def __str__(self) -> str:
        return ".".join(
            p if _PLAIN.match(p) else '"' + p.replace('"', '""') + '"' for p in (self.schema, self.table)
        )


@dataclass(frozen=True, slots=True, order=True)
class TargetName:
    """A Snowflake table: `database.schema.table`, case as Snowflake keeps it (unquoted names are upper case)."""

    database: str
    schema: str
    table: str

    @classmethod
    def parse(cls, text: str, *, database: str = "", schema: str = "") -> TargetName:
        """`users`, `analytics.users`, `db.analytics."Users"`; missing parts come from the settings."""
        parts = [part if quoted else part.upper() for part, quoted in split_name(text)]
        if len(parts) > 3:
            raise ValueError(f"{text!r} has {len(parts)} parts; write database.schema.table at most")
        missing = [fold_target(database), fold_target(schema)][: 3 - len(parts)]
        return cls(*missing, *parts)

    def sibling(self, table: str) -> TargetName:
        """Another table of the same schema."""
        return TargetName(self.database, self.schema, table)

    def __str__(self) -> str:
        return f"{self.database}.{self.schema}.{self.table}"


def fold_target(name: str) -> str:
    """The Snowflake name of an unquoted identifier; a quoted one keeps its case."""
    if len(name) > 1 and name.startswith('"') and name.endswith('"'):
        return name[1:-1].replace('""', '"')
    return name.upper()


def target_column(source: str) -> str:
    """The Snowflake column for a Postgres one: plain lower-case names become upper case, so that analysts
    never need quotes; any other name is kept to the letter."""
    return source.upper() if _PLAIN.match(source) else source


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a source table. `type_name` is the base type's (domains are resolved), e.g. `int4`, `_text`."""

    name: str
    attnum: int
    type_name: str
    type_oid: int
    typmod: int
    kind: str
    """pg_type.typtype of the base type: b base, e enum, c composite, r range, m multirange."""
    category: str
    """pg_type.typcategory of the base type: A array, N numeric, S string …"""
    not_null: bool
    has_default: bool = False
    has_missing: bool = False
    """pg_attribute.atthasmissing, of the table or of any leaf of its tree: older rows take its value from the catalog
    (ADD COLUMN … DEFAULT)."""
    type_text: str = ""
    """format_type of the declared type, such as `numeric(10,2)` or the name of a domain; for people and messages."""
    labels: tuple[str, ...] = ()
    """Of an enum (or an array of one) its labels in order; of a composite its attributes, each `name type`."""
    generation: str | None = None
    """A digest of the expression of a generated column, which changes when that does; None for other columns."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A table that a root's rows are in: a partition, an inheriting table, at any depth."""

    oid: int
    name: str
    """`schema.table`, for people."""
    filenode: str = ""
    """Its own relfilenode: another one after a rewrite."""


@dataclass(frozen=True, slots=True)
class SourceTable:
    """A source table as its catalog describes it, in the order of attnum."""

    name: SourceName
    oid: int
    relkind: str
    """pg_class.relkind: r table, p partitioned, v view, m materialized view, f foreign."""
    columns: tuple[Column, ...]
    unique_keys: tuple[tuple[str, ...], ...] = ()
    """Column names of each valid, immediate, non-partial, expression-free unique index; the primary key first."""
    has_primary_key: bool = False
    """The first of `unique_keys` is the primary key."""
    indexed_first: frozenset[str] = frozenset()
    """Columns that lead a valid, non-partial btree index."""
    sequence_cache: tuple[tuple[str, int, int], ...] = ()
    """(column, CACHE, INCREMENT) of each column fed by a sequence."""
    leaves: tuple[Leaf, ...] = ()
    """Of a partitioned table the leaves of its tree, of another one the tables that inherit from it; by oid."""
    filenode: str = ""
    """A digest of the relfilenodes of the table and its leaves: another one after a rewrite, a TRUNCATE, a VACUUM FULL.
    Empty for what has no storage."""
    estimated_rows: int = -1
    total_bytes: int = 0

    def column(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name == name), None)
