"""How tables are stored: their clustering key and their time travel, which SHOW TABLES shows."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import sqlglot
from sqlglot import exp

from pgsnow.embedded.snowflake.catalog.table_names import (
    NAME,
    Name,
    full_name,
    in_duckdb,
    notes_of,
    write_notes,
)
from pgsnow.embedded.snowflake.hooks.cursor import Execute, wrap_execute
from pgsnow.embedded.snowflake.hooks.errors import INVALID_IDENTIFIER, snowflake_error
from pgsnow.embedded.snowflake.statements.limits import INVALID_VALUE
from pgsnow.embedded.snowflake.statements.table_columns import columns_of

TEXTS = re.compile(r"""'(?:[^'\\]|\\.|'')*'|"(?:[^"]|"")*\"""")
CLUSTER = re.compile(r"\bcluster\s+by\s*\(", re.IGNORECASE)
RETENTION = re.compile(r"\bdata_retention_time_in_days\s*=\s*(\d+)", re.IGNORECASE)
ALTER = re.compile(
    rf"\s*alter\s+table\s+(?:if\s+exists\s+)?(?P<name>{NAME})\s+(?:(?P<cluster>cluster\s+by\s*\()"
    rf"|(?P<no_key>drop\s+clustering\s+key)|(?P<set>set\s+data_retention_time_in_days)"
    rf"|rename\s+column\s+(?P<old>{NAME})\s+to\s+(?P<new>{NAME})"
    rf"|drop\s+(?:column\s+)?(?:if\s+exists\s+)?(?P<dropped>{NAME}))",
    re.IGNORECASE,
)
USED_BY_THE_KEY = (1402, "0A000")
LONGEST_TRANSIENT = 1


def options_in(command: str) -> dict[str, Any]:
    """The clustering key (as text, without its parentheses) and the time travel that a CREATE or ALTER TABLE states."""
    bare = TEXTS.sub(lambda text: " " * len(text[0]), command)
    found: dict[str, Any] = {}
    if key := CLUSTER.search(bare):
        found["cluster_by"] = command[key.end() : closing_parenthesis(bare, key.end())].strip()
    if days := RETENTION.search(bare):
        found["retention_time"] = int(days[1])
    return found


def closing_parenthesis(text: str, start: int) -> int:
    """The position of the parenthesis that closes one before `start`."""
    depth = 1
    for position in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        if depth == 0:
            return position
    return len(text)


def refuse_unknown_columns(key: str, there: set[str]) -> None:
    """Raise 904 if a clustering key names a column that is not there."""
    missing = [name for name in _columns(key) if name not in there]
    if missing:
        raise snowflake_error(INVALID_IDENTIFIER, f"SQL compilation error: invalid identifier '{missing[0]}'")


def _columns(key: str) -> list[str]:
    tree = sqlglot.parse_one(f"SELECT {key}", read="snowflake")
    return [each.name if each.this.quoted else each.name.upper() for each in tree.find_all(exp.Column)]


def note_alterations() -> None:
    """Stock: ALTER TABLE … CLUSTER BY, DROP CLUSTERING KEY and SET DATA_RETENTION_TIME_IN_DAYS have no effect, and a
    column of the clustering key can be dropped."""
    wrap_execute(_noting)


def _noting(stock: Execute) -> Execute:
    def execute(self: Any, command: str, *args: Any, **kwargs: Any) -> Any:
        match = ALTER.match(command)
        change = match and _change(self, match, command)
        result = stock(self, command, *args, **kwargs)
        if match and change:
            table = full_name(self, match["name"])
            if notes := notes_of(self, table):
                write_notes(self, table, change(notes))
        return result

    return execute


def _change(
    cursor: Any, match: re.Match[str], command: str
) -> Callable[[dict[str, Any]], dict[str, Any]] | None:
    """How a statement changes the notes of its table; None: it does not."""
    table, given = full_name(cursor, match["name"]), options_in(command)
    notes = notes_of(cursor, table)
    key = notes.get("cluster_by", "")
    if match["cluster"]:
        refuse_unknown_columns(given["cluster_by"], _there(cursor, table))
    elif match["set"]:
        if notes.get("kind") == "TRANSIENT" and given.get("retention_time", 0) > LONGEST_TRANSIENT:
            raise snowflake_error(INVALID_VALUE, "invalid value for parameter 'DATA_RETENTION_TIME_IN_DAYS'")
    elif match["no_key"]:
        given = {"cluster_by": ""}
    elif match["old"]:
        given = {"cluster_by": _renamed(key, _one(match["old"]), match["new"])}
    elif match["dropped"] and _one(match["dropped"]) in _columns(key or "NULL"):
        raise snowflake_error(
            USED_BY_THE_KEY, f"Cannot drop column {match['dropped']} of the clustering key."
        )
    return (lambda notes: {**notes, **given}) if given and notes else None


def _there(cursor: Any, table: Name) -> set[str]:
    return {column.name for column in columns_of(cursor._duck_conn, in_duckdb(table))}


def _one(name: str) -> str:
    return name[1:-1] if name.startswith('"') else name.upper()


def _renamed(key: str, old: str, new: str) -> str:
    if not key:
        return ""
    tree = sqlglot.parse_one(f"SELECT {key}", read="snowflake")
    for column in tree.find_all(exp.Column):
        if (column.name if column.this.quoted else column.name.upper()) == old:
            column.set("this", exp.to_identifier(_one(new), quoted=True))
    return str(tree.sql(dialect="snowflake")).removeprefix("SELECT ")
