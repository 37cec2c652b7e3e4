"""Sizes of tables and missing privileges on them: one statement for all tables, which reads none of them.

https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-INFO-ACCESS
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier

from pgsnow.model.table import SourceName
from pgsnow.postgres.any_bytes import any_bytes
from pgsnow.postgres.errors import translating
from pgsnow.postgres.sql import text_of

_QUERY = (files(__package__) / "access.sql").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Access:
    """Size of a table and privileges on it. rows: as last estimated (None: never counted). bytes: on disk, without
    indexes (None: it has no storage). grants: the statements to run before the table can be read."""

    rows: int | None
    bytes: int | None
    grants: tuple[str, ...]


def access(
    conn: psycopg.Connection[Any], watermarks: Mapping[SourceName, str | None]
) -> dict[SourceName, Access]:
    """Access by table; tables that do not exist are left out, and so are those that another
    session keeps locked. The role must be able to read the sequence of an integer
    watermark (otherwise the table is read in xmin mode, at a higher cost).

    Raises SourceUnavailable.
    """
    given = {
        "schemas": [name.schema for name in watermarks],
        "tables": [name.table for name in watermarks],
        "watermarks": list(watermarks.values()),
    }
    with translating():
        try:
            with any_bytes(conn), conn.cursor(row_factory=dict_row) as cursor:
                rows = cursor.execute(_QUERY, given).fetchall()
        except (psycopg.errors.UntranslatableCharacter, psycopg.errors.LockNotAvailable):
            # In a name, which cannot exist in this database's encoding; or the size of a table that is locked.
            if len(watermarks) < 2:
                return {}
            each = (access(conn, {name: column}) for name, column in watermarks.items())
            return {name: found for one in each for name, found in one.items()}
    return {SourceName(row["schema"], row["table"]): _access(row) for row in rows}


def _access(row: Mapping[str, Any]) -> Access:
    missing = []
    schema, table = Identifier(row["schema"]), Identifier(row["schema"], row["table"])
    if not row["may_use_schema"]:
        missing.append(SQL("GRANT USAGE ON SCHEMA {}").format(schema))
    if not row["may_select"]:
        missing.append(SQL("GRANT SELECT ON {}").format(table))
    statements = [text_of(grant) for grant in missing]
    statements += [f"GRANT SELECT ON SEQUENCE {sequence}" for sequence in row["closed_sequences"]]
    return Access(row["rows"], row["bytes"], tuple(f"{grant} TO {row['role']}" for grant in statements))
