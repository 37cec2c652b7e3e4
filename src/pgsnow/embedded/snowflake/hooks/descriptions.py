"""Names and types of a result's columns, which the server sends along with every result."""

from __future__ import annotations

from typing import Any

import fakesnow.cursor

UNUSED = (None, None, None, None)
"""Null, key, default and extra of a DESCRIBE row, which fakesnow ignores."""


def describe_results_by_the_cursor() -> None:
    """Stock: parses and runs `DESCRIBE <statement>` after each statement, a fifth of the emulator's CPU time. DuckDB's
    cursor has the same names and types once the statement has run."""
    cursor = fakesnow.cursor.FakeSnowflakeCursor
    stock_execute, stock_describe = cursor._execute, cursor._describe_last_sql

    def execute(self: Any, transformed: Any, params: Any = None) -> None:
        self.pgsnow_columns = None
        stock_execute(self, transformed, params)
        if not transformed.args.get("result_scan_sfqid"):  # else the result is an earlier one
            self.pgsnow_columns = _described(self._duck_conn.description)

    def describe(self: Any) -> list[tuple[Any, ...]]:
        columns: list[tuple[Any, ...]] | None = getattr(self, "pgsnow_columns", None)
        return columns or list(stock_describe(self))

    cursor._execute, cursor._describe_last_sql = execute, describe


def _described(columns: Any) -> list[tuple[Any, ...]]:
    """The rows of DESCRIBE for columns in the form of the Python DB API."""
    return [(name, str(kind), *UNUSED) for name, kind, *_ in columns or ()]
