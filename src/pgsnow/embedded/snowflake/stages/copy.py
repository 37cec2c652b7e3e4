"""COPY INTO."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import duckdb
import fakesnow.copy_into
import fakesnow.cursor
from fakesnow.transforms.options import parse_options
from sqlglot import exp

from pgsnow.embedded.snowflake.hooks.errors import snowflake_error

FLAGS = ("FORCE", "PURGE")
WITHOUT_EFFECT = (
    "RETURN_FAILED_ONLY",
    "ENFORCE_LENGTH",
    "TRUNCATECOLUMNS",
    "LOAD_UNCERTAIN_FILES",
    "LOAD_MODE",
)
PARQUET_OPTIONS = frozenset(
    {
        *("TYPE", "COMPRESSION", "SNAPPY_COMPRESSION", "BINARY_AS_TEXT", "USE_LOGICAL_TYPE", "TRIM_SPACE"),
        *("USE_VECTORIZED_SCANNER", "REPLACE_INVALID_CHARACTERS", "NULL_IF"),
    }
)
"""Snowflake docs, "COPY INTO <table>", format type options of TYPE = PARQUET."""
NULL_BY_DEFAULT = ["\\N"]
INVALID_PARAMETER = (1423, "42601")


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


def read_parquet_by_its_format() -> None:
    """Stock: ignores every option of a Parquet format. The real service rejects an unknown one, and a COPY by column
    name loads values that equal a text of NULL_IF as NULL, by default the text `\\N` (Snowflake docs, "COPY INTO
    <table>")."""
    stock = fakesnow.copy_into._inserts

    def inserts(expression: exp.Copy, params: Any, urls: list[str], info: Any = None) -> Any:
        options = _parquet_options(expression)
        made = stock(expression, params, urls, info)
        if options is not None and info is not None and info.target_columns:
            null_if = [str(text) for text in options.get("NULL_IF", NULL_BY_DEFAULT)]
            for select in (insert.expression for insert in made) if null_if else ():
                select.set("expressions", [_unless(column, null_if) for column in select.expressions])
        return made

    fakesnow.copy_into._inserts = inserts


def _parquet_options(expression: exp.Copy) -> dict[str, Any] | None:
    """The options that are written in the statement; None: not a Parquet format, or a named one."""
    for param in expression.args.get("params", []):
        if param.this.name.upper() == "FILE_FORMAT":
            options: dict[str, Any] = parse_options(param.expressions)
            if str(options.get("TYPE")).upper() != "PARQUET":
                return None
            refuse_unknown_options(options)
            return options
    return None


def refuse_unknown_options(options: dict[str, Any]) -> None:
    """Raise an error for an option that a Parquet format does not have. options: of a format of any type."""
    unknown = sorted(options.keys() - PARQUET_OPTIONS)
    if str(options.get("TYPE")).upper() == "PARQUET" and unknown:
        raise snowflake_error(INVALID_PARAMETER, f"SQL compilation error: invalid parameter '{unknown[0]}'")


def _unless(column: exp.Expression, null_if: list[str]) -> exp.Expression:
    """`column AS name` with NULL for these texts, whatever the column's type."""
    if not isinstance(column.this, exp.Column):
        return column
    as_text = exp.cast(column.this.copy(), "VARCHAR")
    kept = exp.Case().when(as_text.isin(*null_if), exp.null()).else_(column.this.copy())
    return exp.alias_(kept, column.alias, quoted=True)


def match_names_in_any_script() -> None:
    """Stock: compares the file's column names with the table's in upper case, and looks for the table's columns
    under these names: a column `"gr\u00f6\u00dfe"` is not found."""

    def columns(table: exp.Table, *where: Any) -> list[str]:
        return [name for name, _ in fakesnow.copy_into._describe_table(table, *where)]

    def match(in_file: list[str], in_table: list[str], mode: Any) -> dict[str, str]:
        if mode == fakesnow.copy_into.MatchByColumnName.CASE_SENSITIVE:
            return {name: name for name in in_table if name in in_file}
        known = {name.upper(): name for name in in_file}
        return {name: known[name.upper()] for name in in_table if name.upper() in known}

    fakesnow.copy_into._get_table_columns = columns
    fakesnow.copy_into._match_parquet_columns = match


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
        except Exception:
            with contextlib.suppress(duckdb.Error):  # impossible in a transaction that has failed
                _use(connection, *before)
            raise
        _use(connection, *before)
        connection.execute(outcome)  # the caller fetches from the last statement
        return outcome

    return copy_into


def _use(connection: Any, database: str, schema: str) -> None:
    quoted = '"{}"."{}"'.format(database.replace('"', '""'), schema.replace('"', '""'))
    connection.execute("SET schema='{}'".format(quoted.replace("'", "''")))
