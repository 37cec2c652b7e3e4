"""SHOW TABLES, and what it shows: when a table was created, by which role, its rows and its comment.

DuckDB's own comment on a table stores the creation: it stays with the table when it is altered or renamed, and ends
with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import fakesnow.info_schema
import sqlglot
from fakesnow.expr import normalise_ident
from sqlglot import exp

from pgsnow.embedded.snowflake.hooks.cursor import Execute, rewrite_text, wrap_execute
from pgsnow.embedded.snowflake.hooks.errors import snowflake_error
from pgsnow.embedded.snowflake.hooks.session_state import state_of
from pgsnow.embedded.snowflake.statements.gaps import IDENTIFIER, STATUS
from pgsnow.embedded.snowflake.statements.hidden import is_hidden
from pgsnow.embedded.snowflake.statements.table_columns import quoted

NAME = rf"{IDENTIFIER}(?:\.{IDENTIFIER}){{0,2}}"
CREATE = re.compile(
    rf"\s*create\s+(?P<replace>or\s+replace\s+)?(?P<transient>transient\s+)?table\s+(?:if\s+not\s+exists\s+)?(?P<name>{NAME})"
    rf"(?:\s+clone\s+(?P<origin>{NAME}))?",
    re.IGNORECASE,
)
RENAME = re.compile(
    rf"\s*alter\s+table\s+(?P<name>{NAME})\s+rename\s+to\s+(?P<new>{NAME})\s*;?\s*\Z", re.IGNORECASE
)
SWAP = re.compile(
    rf"\s*alter\s+table\s+(?P<name>{NAME})\s+swap\s+with\s+(?P<new>{NAME})\s*;?\s*\Z", re.IGNORECASE
)
REPLACING_CLONE = re.compile(
    rf"\s*create\s+or\s+replace\s+(?P<kind>(?:transient\s+)?table)\s+(?P<name>{NAME})\s+(?P<clone>clone\s.*)",
    re.IGNORECASE | re.DOTALL,
)
SHOW = re.compile(r"\s*show\s+(?:terse\s+)?tables\b", re.IGNORECASE)
BESIDE = tuple(
    f"_fs_global._fs_information_schema.{table}" for table in ("_fs_tables_ext", "_fs_columns_ext")
)
"""Where fakesnow keeps comments and lengths of texts, by the table's name."""
OF_TABLE = "ext_table_catalog = ? AND ext_table_schema = ? AND ext_table_name = ?"
TABLES = """
SELECT database_name, schema_name, table_name, duckdb_tables.comment, ext.comment
FROM duckdb_tables() LEFT JOIN _fs_global._fs_information_schema._fs_tables_ext AS ext
    ON ext_table_catalog = database_name AND ext_table_schema = schema_name AND ext_table_name = table_name
WHERE NOT temporary AND schema_name <> '_fs_information_schema' AND database_name NOT IN ('memory', '_fs_global')
    AND (?1 IS NULL OR database_name = ?1) AND (?2 IS NULL OR schema_name = ?2)
    AND (?3 IS NULL OR table_name ILIKE ?3 ESCAPE '\\')
ORDER BY 1, 2, 3
"""
TERSE = ("created_on", "name", "kind", "database_name", "schema_name")
MISSING = (2043, "02000")
Name = tuple[str, str, str]


def note_creations() -> None:
    """Stock: does not know when a table was created; a comment stays with the name of a dropped or renamed table, and
    must not contain a quote."""
    wrap_execute(_noting)
    fakesnow.info_schema.insert_table_comment_sql = _with_quotes(
        fakesnow.info_schema.insert_table_comment_sql
    )


def replace_by_clones() -> None:
    """Stock: CREATE OR REPLACE TABLE ... CLONE fails if the table exists."""
    rewrite_text(_clone)


def swap_tables() -> None:
    """Stock: SWAP WITH is a syntax error of DuckDB."""
    rewrite_text(_swap)


def show_tables_fully() -> None:
    """Stock: SHOW TABLES says that every table was created in 1970, has 0 rows and no comment; a wildcard cannot be
    escaped."""
    rewrite_text(_show)


def _with_quotes(stock: Any) -> Any:
    def sql(catalog: str, schema: str, table: str, comment: Any) -> str:
        doubled = comment.replace("'", "''") if isinstance(comment, str) else comment
        return str(stock(catalog, schema, table, doubled))

    return sql


def _noting(stock: Execute) -> Execute:
    def execute(self: Any, command: str, *args: Any, **kwargs: Any) -> Any:
        created, renamed = CREATE.match(command), RENAME.match(command)
        before = None
        if created:
            before = _creation(self, _full(self, created["name"]))
            if before is None or created["replace"]:
                _forget(self, _full(self, created["name"]))
        result = stock(self, command, *args, **kwargs)
        if created:
            table = _full(self, created["name"])
            if before is None or before != _creation(self, table):
                _note(self, table, transient=created["transient"] is not None)
                if created["origin"]:
                    _copy_comment(self, _full(self, created["origin"]), table)
        if renamed:
            old = _full(self, renamed["name"])
            _move(self, old, (*old[:2], _full(self, renamed["new"])[2]))
        return result

    return execute


def _full(cursor: Any, name: str) -> Name:
    """The three parts of a table's name; those that are missing are the session's."""
    parts = [normalise_ident(part).replace('""', '"') for part in re.findall(IDENTIFIER, name)]
    database, schema = cursor._conn.database, cursor._conn.schema
    return (*(database, schema)[: 3 - len(parts)], *parts)


def _creation(cursor: Any, table: Name) -> str | None:
    """A mark that a table keeps from its creation until it is dropped; None: there is no such table."""
    found = cursor._duck_conn.execute(
        "SELECT table_oid || coalesce(comment, '') FROM duckdb_tables() "
        "WHERE database_name = ? AND schema_name = ? AND table_name = ?",
        list(table),
    ).fetchone()
    return None if found is None else str(found[0])


def _note(cursor: Any, table: Name, *, transient: bool) -> None:
    """Store the creation of a table."""
    noted = {
        "created_on": datetime.now(UTC).isoformat(timespec="microseconds"),
        "kind": "TRANSIENT" if transient else "TABLE",
        "owner": state_of(cursor._conn).role,
    }
    name = ".".join(map(quoted, table))
    cursor._duck_conn.execute(f"COMMENT ON TABLE {name} IS '{json.dumps(noted)}'".replace("\\", "\\\\"))


def _forget(cursor: Any, table: Name) -> None:
    for stored in BESIDE:
        cursor._duck_conn.execute(f"DELETE FROM {stored} WHERE {OF_TABLE}", list(table))  # noqa: S608


def _copy_comment(cursor: Any, origin: Name, table: Name) -> None:
    comments = BESIDE[0]
    cursor._duck_conn.execute(
        f"INSERT OR REPLACE INTO {comments} SELECT ?, ?, ?, comment FROM {comments} WHERE {OF_TABLE}",  # noqa: S608
        [*table, *origin],
    )


def _move(cursor: Any, old: Name, new: Name) -> None:
    _forget(cursor, new)
    for stored in BESIDE:
        cursor._duck_conn.execute(
            f"UPDATE {stored} SET ext_table_name = ? WHERE {OF_TABLE}",  # noqa: S608
            [new[2], *old],
        )


def _clone(cursor: Any, command: str) -> str | None:
    """The clone gets another name first: it may be one of the table that it replaces."""
    match = REPLACING_CLONE.match(command)
    if match is None:
        return None
    table = _full(cursor, match["name"])
    name, free = (".".join(map(quoted, each)) for each in (table, (*table[:2], "_fs_cloning")))
    cursor.execute(f"CREATE {match['kind']} {free} {match['clone']}")
    cursor.execute(f"DROP TABLE IF EXISTS {name}")
    return f"ALTER TABLE {free} RENAME TO {quoted(table[2])}"


def _swap(cursor: Any, command: str) -> str | None:
    match = SWAP.match(command)
    if match is None:
        return None
    one, other = _full(cursor, match["name"]), _full(cursor, match["new"])
    free = (*one[:2], "_fs_swapping")
    for old, new in ((one, free), (other, one), (free, other)):
        cursor.execute(f"ALTER TABLE {'.'.join(map(quoted, old))} RENAME TO {quoted(new[2])}")
    return STATUS.format("Statement executed successfully.")


def _show(cursor: Any, command: str) -> str | None:
    if SHOW.match(command) is None:
        return None
    show = sqlglot.parse_one(command, read="snowflake")
    if not isinstance(show, exp.Show):
        return None
    rows = list(_shown(cursor, show))
    columns = TERSE if show.args.get("terse") else tuple(_columns(rows[0] if rows else None))
    if not rows:
        return f"SELECT {', '.join(f'NULL AS {quoted(name)}' for name in columns)} WHERE 1 = 0"
    return " UNION ALL ".join(
        f"SELECT {', '.join(f'{row[name]} AS {quoted(name)}' for name in columns)}" for row in rows
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
        [(rows,)] = cursor._duck_conn.execute(f"SELECT count(*) FROM {name}").fetchall()  # noqa: S608
        known = json.loads(noted) if noted else {}
        yield _columns(
            {
                "created_on": f"'{known.get('created_on', '1970-01-01T00:00:00+00:00')}'::TIMESTAMP_LTZ",
                "name": _text(table),
                "kind": _text(known.get("kind", "TABLE")),
                "database_name": _text(database),
                "schema_name": _text(schema),
                "comment": _text(comment or ""),
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
        return (_stored(table.this) if table else cursor._conn.database), None
    if table is None:
        return cursor._conn.database, cursor._conn.schema
    return (_stored(table.args["db"]) if table.db else cursor._conn.database), _stored(table.this)


def _stored(name: exp.Identifier) -> str:
    return str(name.this) if name.quoted else str(name.this).upper()


def _text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
