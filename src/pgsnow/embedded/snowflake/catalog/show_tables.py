"""SHOW TABLES, and what it shows: when a table was created, by which role, how it is stored, its rows and its
comment; and SHOW OBJECTS with the comments of views over stages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import duckdb
from sqlglot import exp

from pgsnow.embedded.snowflake.catalog.table_names import (
    stored_name,
)
from pgsnow.embedded.snowflake.hooks.cursor import rewrite_tree
from pgsnow.embedded.snowflake.hooks.errors import snowflake_error
from pgsnow.embedded.snowflake.statements.hidden import is_hidden
from pgsnow.embedded.snowflake.statements.table_columns import quoted

TABLES = """
SELECT database_name, schema_name, table_name, duckdb_tables.comment, ext.comment
FROM duckdb_tables() LEFT JOIN _fs_global._fs_information_schema._fs_tables_ext AS ext
    ON ext_table_catalog = database_name AND ext_table_schema = schema_name AND ext_table_name = table_name
WHERE NOT temporary AND schema_name <> '_fs_information_schema' AND database_name NOT IN ('memory', '_fs_global')
    AND (?1 IS NULL OR database_name = ?1) AND (?2 IS NULL OR schema_name = ?2)
    AND (?3 IS NULL OR table_name ILIKE ?3 ESCAPE '\\')
ORDER BY 1, 2, 3
"""
OBJECTS = """
o.* REPLACE (coalesce(v.view ->> 'comment', o.comment) AS comment)
FROM _fs_global._fs_information_schema._fs_show_objects AS o
    LEFT JOIN _fs_global._fs_information_schema._pgsnow_views AS v
    ON v.name = [o.database_name, o.schema_name, o.name]
WHERE {}
"""
TERSE = ("created_on", "name", "kind", "database_name", "schema_name")
MISSING = (2043, "02000")


def show_tables_fully() -> None:
    """Stock: SHOW TABLES says that every table was created in 1970, has 0 rows and no comment; a wildcard cannot be
    escaped, in SHOW OBJECTS neither."""
    rewrite_tree(_show, exp.Show)


def _show(cursor: Any, show: exp.Show) -> exp.Expression:
    if show.name.upper() == "OBJECTS" and not show.args.get("terse"):
        return _objects(cursor, show)
    if show.name.upper() != "TABLES":
        return show
    rows = list(_shown(cursor, show))
    columns = TERSE if show.args.get("terse") else tuple(_columns(rows[0] if rows else None))
    if rows:
        values = ", ".join(f"({', '.join(row[name] for name in columns)})" for row in rows)
        listed = f"* FROM (VALUES {values}) AS shown ({', '.join(map(quoted, columns))})"
    else:
        listed = f"{', '.join(f'NULL AS {quoted(name)}' for name in columns)} WHERE 1 = 0"
    return exp.Command(this="SELECT", expression=listed)  # text, not parsed and walked through


def _objects(cursor: Any, show: exp.Show) -> exp.Expression:
    like = show.args.get("like")
    database, schema = _scope(cursor, show)
    scope = (
        ("o.database_name =", database),
        ("o.schema_name =", schema),
        ("o.name ILIKE", like and like.name),
    )
    found = [f"{column} {_text(value)}" for column, value in scope if value]
    return exp.Command(
        this="SELECT", expression=OBJECTS.format(" AND ".join(found) + (r" ESCAPE '\'" if like else ""))
    )


def _shown(cursor: Any, show: exp.Show) -> Iterator[dict[str, str]]:
    """The rows of SHOW TABLES: column → constant."""
    like = show.args.get("like")
    database, schema = _scope(cursor, show)
    if schema is not None and not _has_schema(cursor, database, schema):
        raise snowflake_error(MISSING, "Object does not exist, or operation cannot be performed.")
    scope = (database, schema, like.name if like is not None else None)
    found = cursor._duck_conn.execute(TABLES, list(scope)).fetchall()
    for database, schema, table, noted, comment in found:
        if is_hidden(f"{database}.{schema}.{table}"):
            continue
        name = ".".join(map(quoted, (database, schema, table)))
        try:
            [(rows,)] = cursor._duck_conn.execute(f"SELECT count(*) FROM {name}").fetchall()  # noqa: S608
        except duckdb.CatalogException:  # dropped by another statement since it was found
            continue
        known = json.loads(noted) if noted else {}
        key = known.get("cluster_by")
        yield _columns(
            {
                "created_on": f"'{known.get('created_on', '1970-01-01T00:00:00+00:00')}'::TIMESTAMPTZ",
                "name": _text(table),
                "kind": _text(known.get("kind", "TABLE")),
                "database_name": _text(database),
                "schema_name": _text(schema),
                "comment": _text(comment or ""),
                "cluster_by": _text(f"LINEAR({key})" if key else ""),
                "automatic_clustering": _text("ON" if key else "OFF"),
                "retention_time": _text(str(known.get("retention_time", 1))),
                "rows": str(rows),
                "owner": _text(known.get("owner") or "SYSADMIN"),
            }
        )


def _has_schema(cursor: Any, database: str | None, schema: str) -> bool:
    return bool(
        cursor._duck_conn.execute(
            "SELECT 1 FROM duckdb_schemas() WHERE database_name = ? AND schema_name = ?", [database, schema]
        ).fetchone()
    )


def _columns(known: dict[str, str] | None) -> dict[str, str]:
    """All columns in Snowflake's order (Snowflake docs, "SHOW TABLES", output)."""
    fixed = {
        "created_on": "NULL", "name": "NULL", "database_name": "NULL", "schema_name": "NULL", "kind": "NULL",
        "comment": "''", "cluster_by": "''", "rows": "0", "bytes": "0", "owner": "'SYSADMIN'",
        "retention_time": "'1'", "automatic_clustering": "'OFF'", "change_tracking": "'OFF'",
        "is_external": "'N'", "owner_role_type": "'ROLE'", "is_hybrid": "'N'", "is_dynamic": "'N'",
        "is_iceberg": "'N'",
    }  # fmt: skip
    return fixed | (known or {})


def _scope(cursor: Any, show: exp.Show) -> tuple[str | None, str | None]:
    """The database and the schema to list; None: all."""
    kind, table = show.args.get("scope_kind"), show.find(exp.Table)
    if kind == "ACCOUNT":
        return None, None
    if kind == "DATABASE":
        return (stored_name(table.this) if table else cursor._conn.database), None
    if table is None:
        return cursor._conn.database, cursor._conn.schema
    return (stored_name(table.args["db"]) if table.db else cursor._conn.database), stored_name(table.this)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
