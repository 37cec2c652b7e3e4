"""Views over stages, and external tables: queries of staged files, which run with each statement that names them.

Sources: Snowflake docs, "CREATE VIEW", "CREATE EXTERNAL TABLE", "ALTER EXTERNAL TABLE". That a view may select from an
internal stage is not documented.
"""

from __future__ import annotations

import json
import re
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import fakesnow.cursor
import sqlglot
from sqlglot import exp

from pgsnow.embedded.snowflake.catalog.table_names import NAME, Name, full_name, in_duckdb, stored_name
from pgsnow.embedded.snowflake.hooks.cursor import Execute, wrap_execute
from pgsnow.embedded.snowflake.stages.staged_rows import REGISTERED, place_of
from pgsnow.embedded.snowflake.statements.table_columns import columns_of, quoted

CREATE = re.compile(
    rf"\s*create\s+(?:or\s+replace\s+)?(?:secure\s+)?view\s+(?:if\s+not\s+exists\s+)?(?P<name>{NAME})\s*"
    r"(?P<columns>\([^)]*\))?\s*(?:copy\s+grants\s+)?(?:comment\s*=\s*'(?P<comment>(?:[^'\\]|\\.|'')*)'\s*)?as\b(?P<query>.*)\Z",
    re.IGNORECASE | re.DOTALL,
)
GONE = re.compile(
    rf"\s*(?:drop\s+(?:view|external\s+table|schema|database)\s+(?:if\s+exists\s+)?"
    rf"|create\s+(?:or\s+replace\s+)?(?:transient\s+)?table\s+)(?P<name>{NAME})",
    re.IGNORECASE,
)
STORED = "_fs_global._fs_information_schema._pgsnow_views"


@dataclass
class StageView:
    """query: in Snowflake's SQL. columns: names that the statement gives to its columns, if any. files: for an external
    table those that are registered, by their keys; None: all that there are. comment: as in SHOW OBJECTS."""

    query: str
    columns: list[str] = field(default_factory=list)
    files: list[str] | None = None
    comment: str = ""

    def tree(self) -> Any:
        parsed = sqlglot.parse_one(self.query, read="snowflake")
        for table in parsed.find_all(exp.Table) if self.files is not None else ():
            if place_of(table):
                table.set(REGISTERED, self.files)
        return parsed


class StageViews:
    """All of them by their names, also on disk."""

    def __init__(self, connection: Any) -> None:
        connection.execute(f"CREATE TABLE IF NOT EXISTS {STORED} (name VARCHAR[], view JSON)")
        found = connection.execute(f"SELECT name, view FROM {STORED}").fetchall()  # noqa: S608
        self.all: dict[Name, StageView] = {(*name,): StageView(**json.loads(view)) for name, view in found}

    def keep(self, cursor: Any, name: Name, view: StageView) -> None:
        self.forget(cursor, name)
        self.all[name] = view
        cursor._duck_conn.execute(f"INSERT INTO {STORED} VALUES (?, ?)", [list(name), json.dumps(vars(view))])  # noqa: S608

    def forget(self, cursor: Any, name: tuple[str, ...]) -> None:
        """Forget one of them, or all of a schema or database."""
        for known in [each for each in self.all if each[: len(name)] == name]:
            del self.all[known]
            cursor._duck_conn.execute(f"DELETE FROM {STORED} WHERE name = ?", [list(known)])  # noqa: S608


def query_stages_by_views(views: StageViews) -> None:
    """Stock: a stage is an unknown table of DuckDB. Here a view over a stage reads the files that there are when it is
    queried."""
    wrap_execute(lambda stock: _noting(stock, views))
    cursor = fakesnow.cursor.FakeSnowflakeCursor
    stock = cursor._transform

    def transform(self: Any, expression: Any, params: Any) -> Any:
        if views.all and not isinstance(expression, exp.Drop | exp.Describe | exp.Show):
            _expand(self, expression, views)
        return stock(self, expression, params)

    cursor._transform = transform


def _noting(stock: Execute, views: StageViews) -> Execute:
    def execute(self: Any, command: str, *args: Any, **kwargs: Any) -> Any:
        created, gone = CREATE.match(command), GONE.match(command)
        result = stock(self, command, *args, **kwargs)
        if created and _reads_a_stage(self, created["query"], views):
            view = StageView(created["query"], _columns(created["columns"]), comment=created["comment"] or "")
            keep_view(self, views, full_name(self, created["name"]), view)
        elif named := created or gone:
            views.forget(self, _forgotten(self, command, named["name"]))
        return result

    return execute


def _columns(listed: str | None) -> list[str]:
    """The names in `(A, "b")`, as Snowflake stores them."""
    if not listed:
        return []
    return [
        stored_name(each.this)
        for each in sqlglot.parse_one(f"SELECT {listed[1:-1]}", read="snowflake").expressions
    ]


def _forgotten(cursor: Any, command: str, name: str) -> tuple[str, ...]:
    kind = re.match(r"\s*drop\s+(schema|database)", command, re.IGNORECASE)
    missing = {"schema": 1, "database": 2}.get(kind[1].lower(), 0) if kind else 0
    return full_name(cursor, name + "._" * missing)[: 3 - missing]


def _reads_a_stage(cursor: Any, query: str, views: StageViews) -> bool:
    tables = sqlglot.parse_one(query, read="snowflake").find_all(exp.Table)
    return any(place_of(table) or _named(cursor, table) in views.all for table in tables)


def keep_view(cursor: Any, views: StageViews, name: Name, view: StageView) -> None:
    """Keep a view. In DuckDB, an empty view with its columns stands for it."""
    text = f"CREATE OR REPLACE VIEW {in_duckdb(name)} AS {{}}"
    with ExitStack() as cursor.pgsnow_fetched:
        shape = cursor._transform(view.tree(), None).sql(dialect="duckdb")
        cursor._duck_conn.execute(text.format(shape))
        there = columns_of(cursor._duck_conn, in_duckdb(name))
    names = view.columns or [column.name for column in there]
    typed = [f"NULL::{column.kind} AS {quoted(each)}" for column, each in zip(there, names, strict=True)]
    cursor._duck_conn.execute(text.format(f"SELECT {', '.join(typed)} WHERE 1 = 0"))
    views.keep(cursor, name, view)


def _named(cursor: Any, table: exp.Table) -> tuple[Any, ...]:
    """The full name of a table in a statement."""
    if not isinstance(table.this, exp.Identifier):
        return ()
    parts = [stored_name(part) for part in table.parts if isinstance(part, exp.Identifier)]
    return (*(cursor._conn.database, cursor._conn.schema)[: 3 - len(parts)], *parts)


def _expand(cursor: Any, statement: Any, views: StageViews) -> None:
    """Replace each of the views in a statement by its query, also within such queries."""
    own = statement.this if isinstance(statement, exp.Create) else None
    for table in list(statement.find_all(exp.Table)):
        view = views.all.get(_named(cursor, table)) if table is not own and table.parent is not None else None
        if view is None:
            continue
        alias = table.args.get("alias") or exp.TableAlias(this=table.this.copy())
        if view.columns and not alias.args.get("columns"):
            alias.set("columns", [exp.to_identifier(name, quoted=True) for name in view.columns])
        query = view.tree()
        holder = exp.Subquery(this=query, alias=alias)
        _expand(cursor, holder, views)
        table.replace(holder)
