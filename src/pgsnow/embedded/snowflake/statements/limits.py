"""Limits of the real service that the stock emulator does not have. The numbers of most of these errors are not
documented; nothing relies on them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from fakesnow.expr import normalise_ident
from sqlglot import exp

from pgsnow.embedded.snowflake.hooks.cursor import rewrite_text, rewrite_tree
from pgsnow.embedded.snowflake.hooks.errors import snowflake_error
from pgsnow.embedded.snowflake.hooks.session_state import state_of
from pgsnow.embedded.snowflake.statements.gaps import IDENTIFIER

SYNTAX = (1003, "42000")
INVALID_VALUE = (1008, "22023")
NO_SUCH_OBJECT = (2043, "02000")
NARROWER = (40052, "22000")
NO_WAREHOUSE = (606, "57P03")
LONGEST_SQL = 1 << 20
LONGEST_NAME = 255
QUOTED = re.compile(r"""'(?:[^'\\]|\\.|'')*'|"((?:[^"]|"")+)\"""", re.DOTALL)
"""A string constant, in which a double quote begins no name; or a quoted name, in the group."""
STAGED_COMMENT = re.compile(r"\b(?:from|list|ls|remove|rm|put\s+\S+)\s+@[^\s']*--", re.IGNORECASE)
TRANSIENT = re.compile(r"\s*create\s+(?:or\s+replace\s+)?transient\s+table\b", re.IGNORECASE)
RETENTION = re.compile(r"\bdata_retention_time_in_days\s*=\s*(\d+)", re.IGNORECASE)
USE = re.compile(rf"\s*use\s+(warehouse|role)\s+(?P<name>{IDENTIFIER})\s*;?\s*\Z", re.IGNORECASE)
CREATE = re.compile(
    rf"\s*create\s+(?:or\s+replace\s+)?(warehouse|role)\s+(?:if\s+not\s+exists\s+)?(?P<name>{IDENTIFIER})",
    re.IGNORECASE,
)
COMPUTES = re.compile(r"\s*(?:copy|merge|insert|update|delete)\b", re.IGNORECASE)
GIVEN = {"WAREHOUSE": {"DEV_WH"}, "ROLE": {"PUBLIC", "ACCOUNTADMIN", "SYSADMIN", "PGSNOW"}}
NAMES = "_fs_global._fs_information_schema._pgsnow_names"
SIZES = """
SELECT data_type, numeric_precision, numeric_scale, ext_character_maximum_length
FROM duckdb_columns()
LEFT JOIN _fs_global._fs_information_schema._fs_columns_ext
    ON ext_table_catalog = database_name AND ext_table_schema = schema_name
    AND ext_table_name = table_name AND ext_column_name = column_name
WHERE database_name = ? AND schema_name = ? AND table_name = ? AND column_name = ?
"""
LONGEST_TEXT = 16_777_216


def refuse_beyond_limits() -> None:
    """Stock: accepts statements of more than 1 MB, names of more than 255 characters, comments in stage paths, Time
    Travel of more than a day for transient tables, unknown warehouses and roles, and narrower types for columns."""
    rewrite_text(_checked)
    rewrite_tree(_not_narrower, exp.AlterColumn)


def _checked(cursor: Any, command: str) -> None:
    if len(command.encode()) > LONGEST_SQL:
        raise snowflake_error(SYNTAX, "SQL compilation error: the statement is longer than 1 MB")
    if any(len(name) > LONGEST_NAME for name in QUOTED.findall(command)):
        raise snowflake_error(SYNTAX, "SQL compilation error: an identifier is longer than 255 characters")
    if STAGED_COMMENT.search(command):
        raise snowflake_error(SYNTAX, "SQL compilation error: a comment in the path of a stage")
    if TRANSIENT.match(command) and any(int(days) > 1 for days in RETENTION.findall(command)):
        raise snowflake_error(INVALID_VALUE, "invalid value for parameter 'DATA_RETENTION_TIME_IN_DAYS'")
    _check_account(cursor, command)


def _check_account(cursor: Any, command: str) -> None:
    """Warehouses and roles: those that are there from the start, and those that were created."""
    state = state_of(cursor._conn)
    if match := CREATE.match(command):
        _run(cursor, f"CREATE TABLE IF NOT EXISTS {NAMES} (kind VARCHAR, name VARCHAR)")
        _run(cursor, f"INSERT INTO {NAMES} VALUES (?, ?)", match[1].upper(), normalise_ident(match["name"]))  # noqa: S608
    elif match := USE.match(command):
        kind, name = match[1].upper(), normalise_ident(match["name"])
        if not is_known(lambda text: _run(cursor, text), kind, name):
            raise snowflake_error(NO_SUCH_OBJECT, "Object does not exist, or operation cannot be performed.")
        setattr(state, kind.lower(), name)
    elif COMPUTES.match(command) and not is_known(
        lambda text: _run(cursor, text), "WAREHOUSE", state.warehouse or ""
    ):
        raise snowflake_error(NO_WAREHOUSE, "No active warehouse selected in the current session.")


def is_known(run: Callable[[str], Any], kind: str, name: str) -> bool:
    """True if there is a warehouse or role of this name."""
    return name in GIVEN[kind] or name in _created(run, kind)


def names_of(cursor: Any, kind: str) -> set[str]:
    """All warehouses or roles that there are."""
    return GIVEN[kind] | _created(lambda text: _run(cursor, text), kind)


def _created(run: Callable[[str], Any], kind: str) -> set[str]:
    if run("SELECT 1 FROM duckdb_tables() WHERE table_name = '_pgsnow_names'").fetchone() is None:
        return set()
    return {row[1] for row in run(f"SELECT kind, name FROM {NAMES}").fetchall() if row[0] == kind}  # noqa: S608


def _run(cursor: Any, text: str, *values: str) -> Any:
    return cursor._duck_conn.execute(text, list(values))


def _not_narrower(cursor: Any, node: exp.Expression) -> exp.Expression:
    kind = node.args.get("dtype") if isinstance(node, exp.AlterColumn) else None
    table = node.find_ancestor(exp.Alter)
    if kind is None or table is None:
        return node
    place = (table.this.catalog or cursor._conn.database, table.this.db or cursor._conn.schema)
    found = cursor._duck_conn.execute(SIZES, [*place, table.this.name, node.this.name]).fetchone()
    given = [int(part.name) for part in kind.expressions if part.name.isdigit()]
    if found is not None and _is_narrower(found, str(kind.this.value), given):
        raise snowflake_error(NARROWER, f"cannot change column {node.this.name} to a narrower or other type")
    return node


def _is_narrower(there: tuple[Any, ...], kind: str, given: list[int]) -> bool:
    name, digits, scale, length = there
    if name == "VARCHAR":
        return kind not in ("VARCHAR", "TEXT") or (given or [LONGEST_TEXT])[0] < (length or LONGEST_TEXT)
    if str(name).startswith("DECIMAL"):
        wanted = [*given, *(38, 0)[len(given) :]]
        return kind != "DECIMAL" or wanted[0] < digits or wanted[1] != scale
    return False
