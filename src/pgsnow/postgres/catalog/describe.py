"""Descriptions of source tables, from the catalog.

https://www.postgresql.org/docs/current/catalogs.html
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.sql import SQL, Composed, Literal

from pgsnow.model.errors import SourceAccessDenied, SourceTableMissing, UnsupportedTable
from pgsnow.model.table import CatalogMark, Column, Leaf, SourceName, SourceTable
from pgsnow.postgres.any_bytes import any_bytes, misnamed
from pgsnow.postgres.errors import translating
from pgsnow.postgres.sql import text_of

_KINDS = {"S": "a sequence", "i": "an index", "c": "a type"}
_READABLE = frozenset({"r", "p", "v", "m", "f"})


def _queries() -> Mapping[str, str]:
    """Statements of catalog.sql by the name in their `-- name:` line."""
    text = (files(__package__) / "catalog.sql").read_text(encoding="utf-8")
    parts = (part.partition("\n") for part in text.split("-- name: ")[1:])
    found = {name.strip(): body.strip().rstrip(";") for name, _, body in parts}
    shared = found.pop("type_parts")
    return {name: body.replace("{type_parts}", shared) for name, body in found.items()}


_SQL = _queries()
_NO_COUNTERS = (psycopg.errors.UndefinedFunction, psycopg.errors.InsufficientPrivilege)
"""Servers that are derived from PostgreSQL may not have the counters, and a role may lack the right to call functions
that everyone may call by default."""
_WITHOUT_COUNTERS = _SQL["fingerprints"].replace("{leaf_counters}", "null").replace(",\n    {counters}", "")
_WITH_COUNTERS = (
    _SQL["fingerprints"]
    .replace("{leaf_counters}", _SQL["leaf_counters"])
    .replace("{counters}", _SQL["counters"])
)


def describe(conn: psycopg.Connection[Any], name: SourceName) -> SourceTable:
    """The table as it is in one snapshot: dropped columns left out, generated ones included, domains resolved to their
    base.

    Raises SourceTableMissing, SourceAccessDenied (with the GRANT to run), UnsupportedTable, SourceUnavailable.
    """
    with translating(str(name)):
        try:
            return _described(conn, name)
        except psycopg.errors.UntranslatableCharacter:
            text = f"{name}: there is no such table: the database's encoding lacks a character of its name"
            raise SourceTableMissing(text) from None


def _described(conn: psycopg.Connection[Any], name: SourceName) -> SourceTable:
    with any_bytes(conn), conn.cursor(row_factory=dict_row) as cursor:
        cursor.execute("set transaction isolation level repeatable read, read only")
        own = conn.execute(text_of(fingerprints_query([name])).encode()).fetchall()
        table = cursor.execute(_SQL["table"], [name.schema, name.table]).fetchone()
        if table is None:
            raise _missing(name, cursor.execute(_SQL["similar"], [name.schema, name.table]).fetchone() or {})
        _check(name, table)
        oid = {"table": table["oid"]}
        leaves = cursor.execute(_SQL["leaves"], oid).fetchall()
        columns = cursor.execute(
            _SQL["columns"], {**oid, "leaves": [leaf["oid"] for leaf in leaves]}
        ).fetchall()
        indexes = cursor.execute(_SQL["indexes"], oid).fetchall()
        sequences = cursor.execute(_SQL["sequences"], oid).fetchall()
    if problem := misnamed(table["oid"], "", "", [(column["attnum"], column["name"]) for column in columns]):
        raise UnsupportedTable(f"{name}: {problem[0]}", advice=problem[1])
    return SourceTable(
        name=name,
        oid=table["oid"],
        relkind=table["relkind"],
        columns=tuple(Column(**{**column, "labels": tuple(column["labels"])}) for column in columns),
        unique_keys=tuple(tuple(index["columns"]) for index in indexes if index["is_key"]),
        has_primary_key=any(index["is_primary"] and index["is_key"] for index in indexes),
        indexed_first=frozenset(index["columns"][0] for index in indexes if index["is_btree"]),
        sequence_cache=tuple((s["column"], s["cache"], s["increment"]) for s in sequences),
        leaves=tuple(Leaf(leaf["oid"], leaf["name"], leaf["filenode"] or "") for leaf in leaves),
        filenode=_filenode([table, *leaves]),
        estimated_rows=table["estimated_rows"],
        total_bytes=table["total_bytes"],
        fingerprint=own[0][-1] if own else "",
        unreadable=tuple((name, quoted) for name, quoted in table["unreadable"]),
        quoted=table["quoted_table"],
        role=table["quoted_role"],
        is_subscribed=table["is_subscribed"],
    )


def _filenode(stored: Sequence[Mapping[str, Any]]) -> str:
    """A hash of the files that store the rows; empty if there are none."""
    nodes = [table["filenode"] for table in stored if table["filenode"]]
    return hashlib.sha256(";".join(nodes).encode()).hexdigest()[:16] if nodes else ""


def _missing(name: SourceName, found: Mapping[str, Any]) -> SourceTableMissing:
    """The error for a table that does not exist, with tables of the same name in another case or another schema."""
    what = "there is no such table" if found["has_schema"] else f"there is no schema {name.schema}"
    advice = f"Database {found['database']} has no such table. Correct `source:` in sync_config.yaml."
    if found["others"]:
        advice += f" It has {', '.join(found['others'])}."
    return SourceTableMissing(f"{name}: {what}", advice=advice)


def _check(name: SourceName, table: Mapping[str, Any]) -> None:
    if table["relkind"] not in _READABLE:
        kind = _KINDS.get(table["relkind"], "not a table")
        raise UnsupportedTable(f"{name} is {kind}", advice="Name a table or a view in `source:`.")
    if not table["may_use_schema"]:
        raise SourceAccessDenied(
            f"{name}: role {table['role']} may not use the schema",
            advice=f"GRANT USAGE ON SCHEMA {table['quoted_schema']} TO {table['quoted_role']};",
        )
    if not table["may_select"]:
        raise SourceAccessDenied(
            f"{name}: role {table['role']} may not read the table",
            advice=f"GRANT SELECT ON {table['quoted_table']} TO {table['quoted_role']};",
        )


def fingerprints(conn: psycopg.Connection[Any], names: Sequence[SourceName]) -> dict[SourceName, str]:
    """The fingerprint of each table that exists. Raises SourceUnavailable."""
    return {name: mark.fingerprint for name, mark in catalog_marks(conn, names, counters=False).items()}


def catalog_marks(
    conn: psycopg.Connection[Any], names: Sequence[SourceName], *, counters: bool = True
) -> dict[SourceName, CatalogMark]:
    """The mark of each table that exists. One statement for all tables. counters: with the counters of deleted rows,
    and what belongs to them; `conn` must then be in autocommit mode, because a transaction sees them as they were when
    it first looked. They are left out where the server does not have them. Raises SourceUnavailable."""
    wanted = {(name.schema, name.table): name for name in names}
    names = [*wanted.values()]  # a table may have two targets, and its definition would be listed twice
    with translating():
        try:
            rows = conn.execute(text_of(fingerprints_query(names, counters=counters)).encode()).fetchall()
        except psycopg.errors.UntranslatableCharacter:
            # In a name, which cannot exist in this database's encoding. The other tables' must still be found.
            each = (
                (catalog_marks(conn, [name], counters=counters) for name in names) if len(names) > 1 else ()
            )
            return {name: found for one in each for name, found in one.items()}
        except _NO_COUNTERS:
            if not counters:
                raise
            return catalog_marks(conn, names, counters=False)
    return {wanted[schema, table]: CatalogMark(*mark) for schema, table, *mark in rows}


def fingerprints_query(names: Sequence[SourceName], *, counters: bool = False) -> Composed:
    """A query for rows of schema, table, fingerprint, and with `counters` the other fields of a CatalogMark."""
    return SQL(_WITH_COUNTERS if counters else _WITHOUT_COUNTERS).format(
        schemas=Literal([name.schema for name in names]), names=Literal([name.table for name in names])
    )


def present_name(conn: psycopg.Connection[Any], oid: int) -> SourceName | None:
    """The present name of the table with this oid, also if it was moved to another schema; None: it was dropped.
    Raises SourceUnavailable."""
    with translating(), any_bytes(conn):
        row = conn.execute(_SQL["present_name"], [oid]).fetchone()
    return SourceName(*row) if row else None
