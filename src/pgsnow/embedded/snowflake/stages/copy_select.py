"""COPY with a SELECT."""

from __future__ import annotations

from typing import Any

import fakesnow.checks
from sqlglot import exp

from pgsnow.embedded.snowflake.hooks.cursor import rewrite_statements_with
from pgsnow.embedded.snowflake.hooks.errors import snowflake_error

SCAN_TIME = "METADATA$START_SCAN_TIME"
NOT_SUPPORTED = (2065, "42601")
MAY_BE_SELECTED = (
    exp.JSONExtract,
    exp.JSONPath,
    exp.JSONPathPart,
    exp.Parameter,
    exp.Cast,
    exp.DataType,
    exp.DataTypeParam,
    exp.ParseJSON,
    exp.ConvertTimezone,
    exp.Literal,
    exp.Null,
)


def copy_transformed() -> None:
    """Stock: accepts a column only with a cast and a plain name, but accepts any SELECT.

    Here: columns of the file (`$1:"name"`), casts, PARSE_JSON of one argument, CONVERT_TIMEZONE,
    METADATA$START_SCAN_TIME and constants, from a stage. The real service accepts some more functions, and rejects all
    others too (Snowflake docs, "Transform data during a load"). A column that the file does not have is an error here,
    and NULL on the real service.
    """
    rewrite_statements_with(lambda _, tree: tree.transform(_of_the_file, copy=False), exp.Copy)


def copy_without_a_schema() -> None:
    """Stock: COPY with a SELECT fails in a session without a current schema, even if all names are qualified: it takes
    the stage for a table without a schema."""
    stock = fakesnow.checks._missing_qualifiers

    def missing(table: exp.Table) -> tuple[bool, bool]:
        return (False, False) if isinstance(table.this, exp.Var) else stock(table)

    fakesnow.checks._missing_qualifiers = missing


def _of_the_file(node: exp.Expression) -> exp.Expression:
    if isinstance(node, exp.Copy) and isinstance(node.args["files"][0], exp.Subquery):
        _check(node.args["files"][0].this)
    if (
        isinstance(node, exp.JSONExtract)
        and isinstance(node.this, exp.Parameter)
        and node.find_ancestor(exp.Copy)
    ):
        (key,) = node.expression.find_all(exp.JSONPathKey)
        return exp.column(exp.to_identifier(key.this, quoted=True))
    if _is_scan_time(node) and node.find_ancestor(exp.Copy):
        return exp.CurrentTimestamp()
    return node


def _is_scan_time(node: Any) -> bool:
    return isinstance(node, exp.Column) and node.name.upper() == SCAN_TIME


def _check(select: Any) -> None:
    clauses = {name for name, value in select.args.items() if value} - {"expressions", "from_", "kind"}
    unknown = [
        type(part).__name__
        for column in select.expressions
        for part in column.walk()
        if not (isinstance(part, MAY_BE_SELECTED) or _is_scan_time(part) or _is_scan_time(part.parent))
        or (isinstance(part, exp.ParseJSON) and part.args.get("expression") is not None)
    ]
    if clauses or unknown:
        what = ", ".join([*sorted(clauses), *unknown])
        raise snowflake_error(
            NOT_SUPPORTED, f"SQL compilation error: COPY statement only supports simple SELECT ({what})"
        )
