"""MERGE."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import fakesnow.info_schema
import fakesnow.transforms
import sqlglot
from sqlglot import exp

from pgsnow.embedded.snowflake.hooks.cursor import Execute, wrap_execute
from pgsnow.embedded.snowflake.hooks.errors import snowflake_error
from pgsnow.embedded.snowflake.statements.insert_overwrite import ROWS as OVERWRITING
from pgsnow.embedded.snowflake.statements.whole_rows import NONDETERMINISTIC, change_rows

MERGE = re.compile(r"\s*merge\b", re.IGNORECASE)
CHANGES = re.compile(r"\s*(?:merge|update)\b", re.IGNORECASE)
CANDIDATES = "MERGE_CANDIDATES"
TEMPORARY = (CANDIDATES, OVERWRITING.upper())
TARGET_ROW = "_fs_target_row"
MATCHED_TWICE = f"""
    SELECT 1 FROM {CANDIDATES} WHERE {TARGET_ROW} IS NOT NULL
    GROUP BY {TARGET_ROW} HAVING count(*) > 1 LIMIT 1
"""  # noqa: S608


def refuse_ambiguous_merges() -> None:
    """Stock: uses any one of several source rows that match one target row. The real service raises an error
    (Snowflake docs, "MERGE", nondeterministic results; ERROR_ON_NONDETERMINISTIC_MERGE is on by default)."""
    fakesnow.transforms.merge = _with_target_rows(fakesnow.transforms.merge)
    wrap_execute(_refusing)


def _with_target_rows(stock: Callable[[Any], list[Any]]) -> Callable[[Any], list[Any]]:
    def merge(expression: Any) -> list[Any]:
        statements = stock(expression)
        if len(statements) > 1:
            select = statements[0].find(exp.Select)
            target = expression.this.alias_or_name
            rowid = sqlglot.parse_one(
                f'{exp.to_identifier(target, quoted=True).sql()}."rowid" AS {TARGET_ROW}'
            )
            select.append("expressions", rowid)
        return statements

    return merge


def _refusing(stock: Execute) -> Execute:
    def execute(self: Any, command: str, *args: Any, **kwargs: Any) -> Any:
        result = stock(self, command, *args, **kwargs)
        if MERGE.match(command) and self._duck_conn.execute(MATCHED_TWICE).fetchone() is not None:
            raise snowflake_error(NONDETERMINISTIC, "Duplicate row detected during DML action")
        return result

    return execute


def replace_changed_rows() -> None:
    """Stock: MERGE joins target and source once for each clause, and updates row by row. Here whole rows are
    replaced, after one join. The same holds for UPDATE, because DuckDB does not notice that one transaction
    replaces the row that another one updates. Statements that merge_clauses.py does not support run as in stock."""

    def wrap(stock: Execute) -> Execute:
        def execute(self: Any, command: str, params: Any = None, *args: Any, **kwargs: Any) -> Any:
            bound = params or kwargs.get("binding_params")
            if CHANGES.match(command) and not isinstance(bound, dict) and change_rows(self, command, bound):
                return self
            return stock(self, command, params, *args, **kwargs)

        return execute

    wrap_execute(wrap)


def write_no_metadata_of_merge_tables() -> None:
    """Stock: MERGE, and here INSERT OVERWRITE, record their temporary table's columns in the emulator's own database,
    but a DuckDB transaction can write to one database only."""
    module = fakesnow.info_schema
    module.insert_text_lengths_sql = _unless_merging(module.insert_text_lengths_sql)
    module.insert_table_comment_sql = _unless_merging(module.insert_table_comment_sql)


def _unless_merging(stock: Callable[..., str]) -> Callable[..., str]:
    def sql(catalog: str, schema: str, table: str, value: Any) -> str:
        if table.upper() in TEMPORARY or value in (None, "None"):
            return "SELECT 1"
        return stock(catalog, schema, table, value)

    return sql
