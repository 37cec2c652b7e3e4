"""Names of tables in statements, and what is noted of a table.

DuckDB's own comment on a table stores it: the comment stays with the table when it is altered or renamed, and ends with
it.
"""

from __future__ import annotations

import json
import re
from typing import Any

from fakesnow.expr import normalise_ident
from sqlglot import exp

from pgsnow.embedded.snowflake.statements.gaps import IDENTIFIER
from pgsnow.embedded.snowflake.statements.table_columns import quoted

NAME = rf"{IDENTIFIER}(?:\.{IDENTIFIER}){{0,2}}"
Name = tuple[str, str, str]


def full_name(cursor: Any, name: str) -> Name:
    """The three parts of a table's name; those that are missing are the session's."""
    parts = [normalise_ident(part).replace('""', '"') for part in re.findall(IDENTIFIER, name)]
    database, schema = cursor._conn.database, cursor._conn.schema
    return (*(database, schema)[: 3 - len(parts)], *parts)


def stored_name(name: exp.Identifier) -> str:
    """A name as Snowflake stores it."""
    return str(name.this) if name.quoted else str(name.this).upper()


def in_duckdb(table: Name) -> str:
    return ".".join(map(quoted, table))


def notes_of(cursor: Any, table: Name) -> dict[str, Any]:
    """The notes of a table; empty if there is none."""
    found = cursor._duck_conn.execute(
        "SELECT comment FROM duckdb_tables() WHERE database_name = ? AND schema_name = ? AND table_name = ?",
        list(table),
    ).fetchone()
    return json.loads(found[0]) if found and found[0] else {}


def write_notes(cursor: Any, table: Name, notes: dict[str, Any]) -> None:
    text = json.dumps(notes).replace("'", "''")
    cursor._duck_conn.execute(f"COMMENT ON TABLE {in_duckdb(table)} IS '{text}'")
