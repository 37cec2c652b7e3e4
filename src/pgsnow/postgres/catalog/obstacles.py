"""Obstacles that keep a role from reading a relation, from the catalog. The statement to run is made from the SQLSTATE
of the server's error and the objects concerned, never from its text, which names no schema and may be in any language.

https://www.postgresql.org/docs/current/ddl-priv.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any

import psycopg
from psycopg.sql import SQL, Composable, Identifier

from pgsnow.model.discovery.survey import SurveyedTable
from pgsnow.model.errors import PgsnowError, SourceQueryFailed
from pgsnow.model.plan import TablePlan
from pgsnow.model.table import SourceName
from pgsnow.postgres import sql
from pgsnow.postgres.catalog.describe import fingerprints
from pgsnow.postgres.errors import translating

_QUERY = (files(__package__) / "obstacles.sql").read_text(encoding="utf-8").rstrip().rstrip(";")
_TEXTS = {
    "schema": ("role {role} may not use schema {object}", "GRANT USAGE ON SCHEMA {object} TO {role};"),
    "table": ("role {role} may not read {object}", "GRANT SELECT ON {object} TO {role};"),
    "columns": (
        "role {role} may not read {columns} of {object}",
        "GRANT SELECT ({columns}) ON {object} TO {role};",
    ),
    "rows": ("row-level security of {object} may hide rows from role {role}", "ALTER ROLE {role} BYPASSRLS;"),
    "function": ("role {role} may not call {object}", "GRANT EXECUTE ON FUNCTION {object} TO {role};"),
    "unpopulated": ("{object} has never been refreshed", "REFRESH MATERIALIZED VIEW {object};"),
    "mapping": (
        "role {role} has no user mapping for server {object}",
        "CREATE USER MAPPING FOR {role} SERVER {object} OPTIONS (user '...', password '...');",
    ),
    "server": (
        "rows come from server {object}",
        "Check that server {object} answers, and its user mapping for {role} (\\des+ and \\deu+ in psql).",
    ),
}
_IN_PLACE = {
    "42501": frozenset({"schema", "table", "columns", "rows", "function"}),
    "42704": frozenset({"mapping"}),
    "55000": frozenset({"unpopulated"}),
}
"""SQLSTATE → the kinds of obstacles that lead to it."""
_OF_SERVERS = frozenset({"mapping", "server"})
"""Kinds that lead to any other error of a foreign server."""
_MISSING_OBJECTS = frozenset({"42P01", "3F000", "42883"})
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One obstacle to reading a relation. kind: a key of _TEXTS. reason: a sentence without a full stop. fix: the
    statement to run, or what to look at."""

    kind: str
    reason: str
    fix: str


def obstacles(
    conn: psycopg.Connection[Any], name: SourceName, named: Iterable[str] = ()
) -> tuple[Obstacle, ...]:
    """The obstacles to reading this relation, including what is underneath a view; none if it does not exist. named:
    words of the configuration's `where`, which may be columns, or other tables, functions and schemas.

    `conn` is in autocommit mode. Raises SourceUnavailable."""
    given = {"schema": name.schema, "table": name.table, "named": list(named)}
    with translating():
        rows = conn.execute(_QUERY.encode(), given).fetchall()
    return tuple(
        Obstacle(kind, *(text.format(object=thing, role=role, columns=columns) for text in _TEXTS[kind]))
        for kind, thing, role, columns in rows
    )


def try_read(conn: psycopg.Connection[Any], plan: TablePlan) -> None:
    """Have Postgres prepare the read of all rows, with every check of rights, and read none of them.

    `conn` is in autocommit mode. Raises what a read raises, explained.
    """
    values = SQL(", ").join(map(sql.value_of, plan.fields))
    query = SQL("select {} from {} where {} limit 0").format(
        values, sql.table(plan), sql.both([sql.where_given(plan)])
    )
    _run(conn, plan.source.name, query, plan.config.where)


def with_obstacle(conn: psycopg.Connection[Any], table: SurveyedTable) -> SurveyedTable:
    """The table with what a query of it fails for, although the role may SELECT it, which the catalog does not simply
    show: of a view, and of what foreign servers hold. Reads no row.

    `conn` is in autocommit mode. A relation that is locked, or whose server does not answer, may be readable: that is
    no obstacle.
    """
    remote = table.source.relkind == "f" or table.foreign_partitions
    if not (remote or table.source.relkind in "vm") or not (table.may_use_schema and table.may_select):
        return table
    name = table.name
    try:
        _run(conn, name, SQL("select * from {} limit 0").format(Identifier(name.schema, name.table)), None)
    except PgsnowError as error:
        return (
            table
            if error.transient
            else replace(table, obstacle=(str(error).partition(": ")[2], error.advice))
        )
    return table


def _run(conn: psycopg.Connection[Any], name: SourceName, query: Composable, where: str | None) -> None:
    try:
        with translating(str(name)):
            conn.execute(sql.text_of(query).encode())
    except PgsnowError as error:
        raise explained(conn, name, error, where) from error


def explained(
    conn: psycopg.Connection[Any], name: SourceName, error: PgsnowError, where: str | None = None
) -> PgsnowError:
    """The error of a statement on this relation, with the advice that removes its cause, where the catalog shows it.
    The error itself if it has no SQLSTATE (its advice is specific already), or the catalog cannot be read either.
    where: the configuration's."""
    code = error.code or ""
    if not (code in _MISSING_OBJECTS or code.startswith(("08", "HV")) or code in _IN_PLACE):
        return error
    try:
        found = obstacles(conn, name, _WORD.findall(where or ""))
        exists = bool(fingerprints(conn, [name]))
    except PgsnowError:
        return error
    if code in _MISSING_OBJECTS:
        inside = isinstance(error, SourceQueryFailed) and code != "42883"  # of a function: it has its advice
        return _without_object(name, error, where) if exists and not inside else error
    causes = [obstacle for obstacle in found if _causes(obstacle.kind, code)]
    if not causes:
        return error
    reasons = "; ".join(dict.fromkeys(obstacle.reason for obstacle in causes))
    fixes = " ".join(dict.fromkeys(obstacle.fix for obstacle in causes))
    return type(error)(f"{error} ({reasons})", advice=fixes, code=code)


def _causes(kind: str, code: str) -> bool:
    """True if an obstacle of this kind leads to this SQLSTATE."""
    return kind in _IN_PLACE.get(code, _OF_SERVERS)


def _without_object(name: SourceName, error: PgsnowError, where: str | None) -> PgsnowError:
    """The relation is there; something that reading it uses is not."""
    users = "a view or a function" if where is None else "`where:`, a view or a function"
    return SourceQueryFailed(
        str(error),
        advice=f"{name} exists, but what the message names does not, and {users} uses it. Restore it, or correct what"
        " uses it. (A name without a schema is looked up along the role's search_path.)",
        code=error.code,
    )
