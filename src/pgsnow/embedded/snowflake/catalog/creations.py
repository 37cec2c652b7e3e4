"""When a table was created, by which role, and how it is stored; names and comments that go with a table."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import fakesnow.info_schema
import sqlglot
from sqlglot import exp

from pgsnow.embedded.snowflake.catalog.storage_options import options_in, refuse_unknown_columns
from pgsnow.embedded.snowflake.catalog.table_names import (
    NAME,
    Name,
    full_name,
    notes_of,
    stored_name,
    write_notes,
)
from pgsnow.embedded.snowflake.hooks.cursor import Execute, rewrite_text, wrap_execute
from pgsnow.embedded.snowflake.hooks.session_state import state_of
from pgsnow.embedded.snowflake.statements.gaps import STATUS
from pgsnow.embedded.snowflake.statements.table_columns import quoted

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
BESIDE = tuple(
    f"_fs_global._fs_information_schema.{table}" for table in ("_fs_tables_ext", "_fs_columns_ext")
)
"""Where fakesnow keeps comments and lengths of texts, by the table's name."""
OF_TABLE = "ext_table_catalog = ? AND ext_table_schema = ? AND ext_table_name = ?"


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


def _with_quotes(stock: Any) -> Any:
    def sql(catalog: str, schema: str, table: str, comment: Any) -> str:
        doubled = comment.replace("'", "''") if isinstance(comment, str) else comment
        return str(stock(catalog, schema, table, doubled))

    return sql


def _noting(stock: Execute) -> Execute:
    def execute(self: Any, command: str, *args: Any, **kwargs: Any) -> Any:
        created, renamed = CREATE.match(command), RENAME.match(command)
        before, options = None, _options(command) if created else {}
        if created:
            before = _creation(self, full_name(self, created["name"]))
            if before is None or created["replace"]:
                _forget(self, full_name(self, created["name"]))
        result = stock(self, command, *args, **kwargs)
        if created:
            table = full_name(self, created["name"])
            if before is None or before != _creation(self, table):
                _note(self, table, created, options)
                if created["origin"]:
                    _copy_comment(self, full_name(self, created["origin"]), table)
        if renamed:
            old = full_name(self, renamed["name"])
            _move(self, old, (*old[:2], full_name(self, renamed["new"])[2]))
        return result

    return execute


def _creation(cursor: Any, table: Name) -> str | None:
    """A mark that a table keeps from its creation until it is dropped; None: there is no such table."""
    found = cursor._duck_conn.execute(
        "SELECT table_oid || coalesce(comment, '') FROM duckdb_tables() "
        "WHERE database_name = ? AND schema_name = ? AND table_name = ?",
        list(table),
    ).fetchone()
    return None if found is None else str(found[0])


def _note(cursor: Any, table: Name, created: re.Match[str], options: dict[str, Any]) -> None:
    """Store the creation of a table, and how it is stored: a clone as its origin."""
    origin = notes_of(cursor, full_name(cursor, created["origin"])) if created["origin"] else {}
    notes = {
        "created_on": datetime.now(UTC).isoformat(timespec="microseconds"),
        "kind": "TRANSIENT" if created["transient"] else "TABLE",
        "owner": state_of(cursor._conn).role,
        "cluster_by": origin.get("cluster_by", ""),
        **options,
    }
    write_notes(cursor, table, notes)


def _options(command: str) -> dict[str, Any]:
    """How a CREATE TABLE says that the table is stored. Raises 904 for a clustering key of other columns."""
    options = options_in(command)
    if "cluster_by" in options:
        shape = sqlglot.parse_one(command, read="snowflake").this
        named = [each for each in shape.expressions if isinstance(each, exp.ColumnDef)]
        if isinstance(shape, exp.Schema) and named:
            refuse_unknown_columns(options["cluster_by"], {stored_name(each.this) for each in named})
    return options


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
    table = full_name(cursor, match["name"])
    name, free = (".".join(map(quoted, each)) for each in (table, (*table[:2], "_fs_cloning")))
    cursor.execute(f"CREATE {match['kind']} {free} {match['clone']}")
    cursor.execute(f"DROP TABLE IF EXISTS {name}")
    return f"ALTER TABLE {free} RENAME TO {quoted(table[2])}"


def _swap(cursor: Any, command: str) -> str | None:
    match = SWAP.match(command)
    if match is None:
        return None
    one, other = full_name(cursor, match["name"]), full_name(cursor, match["new"])
    free = (*one[:2], "_fs_swapping")
    for old, new in ((one, free), (other, one), (free, other)):
        cursor.execute(f"ALTER TABLE {'.'.join(map(quoted, old))} RENAME TO {quoted(new[2])}")
    return STATUS.format("Statement executed successfully.")
