"""Tables on both sides: names, and the source table as its catalog describes it.

Identifiers are raw (unquoted); they are quoted where SQL is composed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

_PLAIN = re.compile(r"[a-z_][a-z0-9_$]*\Z")
_PART = re.compile(r'"((?:[^"]|"")+)"|([^".\s]+)')


def split_name(text: str) -> tuple[tuple[str, bool], ...]:
    """`a."B.c"` → (("a", False), ("B.c", True)): each part, and whether it was quoted. Raises ValueError."""
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


def shown_name(name: str) -> str:
    """The name in a message: quoted where it would be overlooked or misread."""
    return name if name.isprintable() and name == name.strip() else json.dumps(name, ensure_ascii=False)


KINDS = {"r": "TABLE", "p": "TABLE", "v": "VIEW", "m": "MATERIALIZED VIEW", "f": "FOREIGN TABLE"}
"""pg_class.relkind → its name in SQL, for statements that people are advised to run."""


@dataclass(frozen=True, slots=True, order=True)
class SourceName:
    """The name of a Postgres table: schema and table, in the case that Postgres stores."""

    schema: str
    table: str

    @classmethod
    def parse(cls, text: str) -> SourceName:
        """From `users`, `public.users` or `public."Users"`; unquoted parts fold to lower case, as in Postgres. Raises
        ValueError."""
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
    """The name of a Snowflake table: database, schema and table, in the case that Snowflake stores (upper, if
    unquoted)."""

    database: str
    schema: str
    table: str

    @classmethod
    def parse(cls, text: str, *, database: str = "", schema: str = "") -> TargetName:
        """From `users`, `analytics.users` or `db.analytics."Users"`; database and schema stand in for missing parts.
        Raises ValueError."""
        parts = [part if quoted else part.upper() for part, quoted in split_name(text)]
        if len(parts) > 3:
            raise ValueError(f"{text!r} has {len(parts)} parts; write database.schema.table at most")
        missing = [fold_target(database), fold_target(schema)][: 3 - len(parts)]
        return cls(*missing, *parts)

    def sibling(self, table: str) -> TargetName:
        """The name of another table in the same schema."""
        return TargetName(self.database, self.schema, table)

    def __str__(self) -> str:
        return f"{self.database}.{self.schema}.{self.table}"


@dataclass(frozen=True, slots=True)
class TargetState:
    """A target as SHOW TABLES shows it.

    created_on: ISO text in UTC. It belongs to the table, not to its name: a table that was created again, cloned or
    swapped in has another one; UNDROP and renaming keep it. rows: exact, but also of a moment ago (None: Snowflake
    does not count them, as for an external table). comment: "" if there is none. kind: TABLE, TRANSIENT, ...
    cluster_by: its clustering key as SHOW writes it; "" if there is none.
    """

    created_on: str
    rows: int | None = None
    comment: str = ""
    kind: str = "TABLE"
    owner: str = ""
    cluster_by: str = ""


JUST_CREATED = "just created"
"""In place of the time of its creation: a run has created the target, and nobody has looked at it since. Its comment
has the mark of its owner then."""


@dataclass(frozen=True, slots=True)
class KnownTarget:
    """A target as it was after its last load, for comparison with what it is now.

    created_on: as in TargetState; "": there was no target; None: not known; or JUST_CREATED. rows: None: not known.
    columns: its columns as last loaded, name → type; empty: not known.
    """

    created_on: str | None = None
    rows: int | None = None
    columns: Mapping[str, str] = field(default_factory=dict)

    def difference(self, now: TargetState) -> str | None:
        """A sentence about why it is not the target that was loaded, or not its rows; None: nothing shows that."""
        if self.created_on not in (None, JUST_CREATED, now.created_on):
            return f"the target is another table than the one that was loaded (created {now.created_on[:19]} UTC)"
        if self.rows is not None and now.rows is not None and self.rows != now.rows:
            return f"the target has {now.rows} rows, but had {self.rows} after the last load"
        return None


def fold_target(name: str) -> str:
    """The Snowflake name of an unquoted identifier; a quoted one keeps its case."""
    if len(name) > 1 and name.startswith('"') and name.endswith('"'):
        return name[1:-1].replace('""', '"')
    return name.upper()


def target_column(source: str) -> str:
    """The Snowflake column for a Postgres one. Plain lower-case names become upper case, so that queries need no
    quotes; any other name is kept exactly."""
    return source.upper() if _PLAIN.match(source) else source


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a source table. `type_name` is that of the base type, such as `int4` or `_text`: domains are
    resolved."""

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
    always_identity: bool = False
    """GENERATED ALWAYS AS IDENTITY, in the table and in all tables that hold rows of it: no writer chooses a value."""
    has_missing: bool = False
    """pg_attribute.atthasmissing of the table or of any of its leaves: older rows take their value from the catalog
    (ADD COLUMN … DEFAULT)."""
    type_text: str = ""
    """format_type of the declared type, such as `numeric(10,2)` or a domain's name, for messages."""
    labels: tuple[str, ...] = ()
    """For an enum (or an array of one) its labels in order; for a composite type its attributes, each as `name
    type`."""
    generation: str | None = None
    """For a generated column a hash of its expression; None for others."""
    element: str = ""
    """For an array the name of its elements' type, domains resolved, if that type came with the server."""
    nondeterministic: bool = False
    """Its collation calls texts equal that differ."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A table that holds rows of another one: a partition or a child table, at any depth."""

    oid: int
    name: str
    """`schema.table`, for messages."""
    filenode: str = ""
    """Its relfilenode, which a rewrite changes."""


@dataclass(frozen=True, slots=True)
class CatalogMark:
    """State of a table in the catalog, from one query for all tables. fingerprint: changes when anything changes that a
    SourceTable describes, except sizes and names of leaves. The others are as in SweepState; None and "" if they were
    not asked for."""

    fingerprint: str
    leaves: Mapping[str, Any] | None = None
    statistics: str = ""
    rights: str = ""


@dataclass(frozen=True, slots=True)
class SourceTable:
    """A source table as the catalog describes it; columns are in the order of attnum."""

    name: SourceName
    oid: int
    relkind: str
    """pg_class.relkind: r table, p partitioned, v view, m materialized view, f foreign."""
    columns: tuple[Column, ...]
    unique_keys: tuple[tuple[str, ...], ...] = ()
    """Column names of each valid, non-partial, expression-free unique index; the primary key first."""
    has_primary_key: bool = False
    """The first of `unique_keys` is the primary key."""
    indexed_first: frozenset[str] = frozenset()
    """First columns of valid, non-partial btree indexes."""
    sequence_cache: tuple[tuple[str, int, int], ...] = ()
    """(column, CACHE, INCREMENT) of each column fed by a sequence."""
    leaves: tuple[Leaf, ...] = ()
    """For a partitioned table its leaf partitions, for another one its child tables; ordered by oid."""
    filenode: str = ""
    """A hash of the relfilenodes of the table and its leaves, which a rewrite, TRUNCATE or VACUUM FULL changes. Empty
    for relations without storage."""
    estimated_rows: int = -1
    total_bytes: int = 0
    fingerprint: str = field(default="", compare=False)
    """A hash of its catalog entry, from the snapshot in which the catalog was read; empty: unknown."""
    unreadable: tuple[tuple[str, str], ...] = ()
    """Columns that the connected role may not SELECT, system columns included, each with its quoted name: not empty if
    the role has grants on single columns only."""
    quoted: str = ""
    """The table's name in SQL."""
    role: str = ""
    """The connected role's name in SQL."""
    is_subscribed: bool = False
    """A subscription (logical replication) writes the table or a part of it: rows arrive with timestamps that another
    server gave them earlier."""

    def may_read(self, *names: str) -> bool:
        """True if the role may SELECT these columns. A grant on single columns includes no system column (`xmin`,
        `ctid`, `tableoid`) that it does not name."""
        return not any(name in names for name, _ in self.unreadable)

    def grant_on(self, names: Iterable[str]) -> str:
        """The statement that grants SELECT on those of these columns that the role may not read."""
        wanted = set(names)
        columns = ", ".join(quoted for name, quoted in self.unreadable if name in wanted)
        return f"GRANT SELECT ({columns}) ON {self.quoted} TO {self.role};"

    def column(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name == name), None)

    def is_numbered_in_order(self, name: str) -> bool:
        """True if the catalog shows that the values of this integer column are given out one by one, upward, at the
        moment of the write: an identity column that no writer may set, from a sequence that hands out no blocks (CACHE
        or INCREMENT above 1, as for allocations of 50 keys at once)."""
        column = self.column(name)
        sequences = [(cache, step) for fed, cache, step in self.sequence_cache if fed == name]
        return column is not None and column.always_identity and sequences == [(1, 1)]
