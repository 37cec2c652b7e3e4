"""COPY INTO."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import fakesnow.copy_into
import fakesnow.cursor
from sqlglot import exp

FLAGS = ("FORCE", "PURGE")
WITHOUT_EFFECT = (
    "RETURN_FAILED_ONLY",
    "ENFORCE_LENGTH",
    "TRUNCATECOLUMNS",
    "LOAD_UNCERTAIN_FILES",
    "LOAD_MODE",
)


def honour_copy_flags() -> None:
    """Stock: FORCE=FALSE and PURGE=FALSE act as TRUE, and options without an effect here are errors."""
    stock = fakesnow.copy_into._params

    def params(expression: exp.Copy, *args: Any, **kwargs: Any) -> Any:
        reduced = expression.copy()
        reduced.set("params", [param for param in reduced.args.get("params", []) if _counts(param)])
        return stock(reduced, *args, **kwargs)

    fakesnow.copy_into._params = params


def _counts(param: exp.CopyParameter) -> bool:
    name, value = param.this.name.upper(), param.expression
    switched_off = isinstance(value, exp.Boolean) and not value.this
    return name not in WITHOUT_EFFECT and not (name in FLAGS and switched_off)


def find_named_files() -> None:
    """Stock: FILES=(...) works with external stages only."""
    stock = fakesnow.copy_into._source_urls

    def urls(source: str, files: list[str]) -> list[str]:
        if source.startswith("/"):
            return [f"{source.rstrip('/')}/{file}" for file in files]
        return list(stock(source, files))

    fakesnow.copy_into._source_urls = urls


def describe_quoted_tables() -> None:
    """Stock: fails for a table whose name needs quotes, because it describes the table without them."""

    def describe(
        table: exp.Table, connection: Any, database: str | None, schema: str | None
    ) -> list[tuple[str, str]]:
        parts = (table.catalog or database, table.db or schema, table.name)
        name = ".".join('"' + str(part).replace('"', '""') + '"' for part in parts)
        return [(row[0], row[1]) for row in connection.execute(f"DESCRIBE {name}").fetchall()]

    fakesnow.copy_into._describe_table = describe


def note_loads_beside_the_table() -> None:
    """Stock: records loaded files in the session's database, and fails if the table is in another one."""
    fakesnow.cursor.copy_into = _in_the_tables_database(fakesnow.cursor.copy_into)


def _in_the_tables_database(stock: Callable[..., str]) -> Callable[..., str]:
    def copy_into(
        connection: Any, database: str | None, schema: str | None, expr: exp.Copy, *rest: Any
    ) -> str:
        table = fakesnow.copy_into._extract_table(expr.this)
        if not table.catalog or not table.db:
            return stock(connection, database, schema, expr, *rest)
        before = connection.execute("SELECT current_database(), current_schema()").fetchone()
        _use(connection, table.catalog, table.db)
        try:
            outcome = stock(connection, database, schema, expr, *rest)
        finally:
            _use(connection, *before)
        connection.execute(outcome)  # the caller fetches from the last statement
        return outcome

    return copy_into


def _use(connection: Any, database: str, schema: str) -> None:
    quoted = '"{}"."{}"'.format(database.replace('"', '""'), schema.replace('"', '""'))
    connection.execute("SET schema='{}'".format(quoted.replace("'", "''")))
