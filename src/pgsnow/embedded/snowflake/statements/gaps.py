"""Statements and functions that the stock emulator does not support, except those for stages."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import fakesnow.server
from fakesnow.expr import normalise_ident
from sqlglot import exp

from pgsnow.embedded.snowflake.hooks.cursor import rewrite_text, rewrite_tree
from pgsnow.embedded.snowflake.hooks.errors import EXISTS_ALREADY, snowflake_error
from pgsnow.embedded.snowflake.hooks.session_state import state_of

IDENTIFIER = r"(?:\"(?:[^\"]|\"\")*\"|[\w$]+)"
STATUS = "SELECT '{}' AS \"status\""
DONE = STATUS.format("Statement executed successfully.")
WITHOUT_EFFECT = re.compile(
    r"""\s*(?:
        alter\s+session\s+(?:set|unset)\s+(?!autocommit)
      | alter\s+warehouse\b
      | use\s+(?:secondary|warehouse|role)\b
      | grant\b
      | revoke\b
      | create\s+(?:or\s+replace\s+)?(?:warehouse|role)\b
      | alter\s+table\s+\S+\s+set\s+(?:data_retention|change_tracking|enable_schema)
    )""",
    re.IGNORECASE | re.VERBOSE,
)
LOCK_TIMEOUT = re.compile(
    r"\s*alter\s+session\s+set\b.*\block_timeout\s*=\s*(\d+)", re.IGNORECASE | re.DOTALL
)
QUERY_TAG = re.compile(
    r"\s*alter\s+session\s+(?:unset\b.*\bquery_tag\b|set\b.*\bquery_tag\s*=\s*'(?P<tag>[^']*)')",
    re.IGNORECASE | re.DOTALL,
)
CREATE_DATABASE = re.compile(
    rf"\s*create\s+(?:transient\s+)?database\s+(?P<exists>if\s+not\s+exists\s+)?(?P<name>{IDENTIFIER})\s*;?\s*\Z",
    re.IGNORECASE,
)
DROP_DATABASE = re.compile(
    rf"\s*drop\s+database\s+(?P<exists>if\s+exists\s+)?(?P<name>{IDENTIFIER})\s*;?\s*\Z", re.IGNORECASE
)
USE_DATABASE = re.compile(rf"\s*use\s+(?:database\s+)?(?P<name>{IDENTIFIER})\s*;?\s*\Z", re.IGNORECASE)
NO_SUCH_OBJECT = (2003, "02000")


def accept_settings_without_effect() -> None:
    """Stock: ALTER SESSION, ALTER WAREHOUSE, GRANT and similar statements are syntax errors."""
    rewrite_text(lambda _, command: DONE if WITHOUT_EFFECT.match(command) else None)


def honour_lock_timeout() -> None:
    """Stock: has no locks, and ignores ALTER SESSION SET LOCK_TIMEOUT (seconds) and QUERY_TAG, which is in the
    journal."""
    rewrite_text(_set_parameters)


def _set_parameters(cursor: Any, command: str) -> str | None:
    if match := LOCK_TIMEOUT.match(command):
        state_of(cursor._conn).lock_seconds = float(match[1])
    if match := QUERY_TAG.match(command):
        state_of(cursor._conn).tag = match["tag"] or ""
    return None


def create_databases_with_public() -> None:
    """Stock: a new database has no schema PUBLIC, does not become the session's database, and its name is not
    quoted."""
    rewrite_text(_create_database)


def drop_databases() -> None:
    """Stock: DROP DATABASE is a syntax error of DuckDB."""
    rewrite_text(_drop_database)


def use_public() -> None:
    """Stock: USE DATABASE leaves the session without a schema. The real one is in PUBLIC then."""
    rewrite_text(_use_database)


def _create_database(cursor: Any, command: str) -> str | None:
    match = CREATE_DATABASE.match(command)
    if match is None:
        return None
    name, store = normalise_ident(match["name"]), fakesnow.server.shared_fs
    if store.has_database(name):
        if not match["exists"]:
            raise snowflake_error(EXISTS_ALREADY, f"Object '{name}' already exists.")
        return STATUS.format(f"{name} already exists, statement succeeded.")
    store.create_database(name)
    _enter(cursor, name)
    return STATUS.format(f"Database {name} successfully created.")


def _drop_database(cursor: Any, command: str) -> str | None:
    match = DROP_DATABASE.match(command)
    if match is None:
        return None
    name, store = normalise_ident(match["name"]), fakesnow.server.shared_fs
    if store.has_database(name):
        if cursor._conn.database == name:
            _leave(cursor)
        store.drop_database(name)
    elif not match["exists"]:
        raise snowflake_error(NO_SUCH_OBJECT, f"Database '{name}' does not exist or not authorized.")
    return STATUS.format(f"{name} successfully dropped.")


def _use_database(cursor: Any, command: str) -> str | None:
    match = USE_DATABASE.match(command)
    if match is None:
        return None
    name = normalise_ident(match["name"])
    if not fakesnow.server.shared_fs.has_database(name):
        raise snowflake_error(NO_SUCH_OBJECT, f"Database '{name}' does not exist or not authorized.")
    _enter(cursor, name)
    return DONE


def _enter(cursor: Any, database: str) -> None:
    session = cursor._conn
    public = session._duck_conn.execute(
        "SELECT 1 FROM duckdb_schemas() WHERE database_name = ? AND schema_name = 'PUBLIC'", [database]
    ).fetchone()
    session._duck_conn.execute(f"SET schema='\"{database}\".{'PUBLIC' if public else 'main'}'")
    session.database, session.database_set = database, True
    session._schema, session.schema_set = ("PUBLIC", True) if public else (None, False)


def _leave(cursor: Any) -> None:
    session = cursor._conn
    session._duck_conn.execute("SET schema='memory.main'")
    session.database, session.database_set = None, False
    session._schema, session.schema_set = None, False


def answer_who_and_where() -> None:
    """Stock: CURRENT_WAREHOUSE is not supported, CURRENT_ROLE and CURRENT_USER return constants, and
    CURRENT_DATABASE of a session without a database returns DuckDB's."""
    known = [each for each in exp.ALL_FUNCTIONS if each.sql_name() in SESSION_FUNCTIONS]
    rewrite_tree(_who_and_where, exp.Anonymous, *known)


def _who_and_where(cursor: Any, node: exp.Expression) -> exp.Expression:
    name = _function_name(node)
    if name not in SESSION_FUNCTIONS:
        return node
    value = SESSION_FUNCTIONS[name](cursor._conn)
    answer = exp.Null() if value is None else exp.Literal.string(value)
    if isinstance(node.parent, exp.Select):
        return exp.alias_(answer, f"{name}()", quoted=True)
    return answer


def _function_name(node: exp.Expression) -> str:
    if isinstance(node, exp.Anonymous):
        return str(node.name).upper()
    return node.sql_name() if isinstance(node, exp.Func) else ""


SESSION_FUNCTIONS: dict[str, Callable[[Any], str | None]] = {
    "CURRENT_DATABASE": lambda session: session.database if session.database_set else None,
    "CURRENT_SCHEMA": lambda session: session.schema if session.schema_set else None,
    "CURRENT_USER": lambda session: state_of(session).user,
    "CURRENT_ROLE": lambda session: state_of(session).role,
    "CURRENT_WAREHOUSE": lambda session: state_of(session).warehouse,
    "CURRENT_ACCOUNT": lambda _: "PGSNOW",
    "CURRENT_REGION": lambda _: "LOCAL",
}
