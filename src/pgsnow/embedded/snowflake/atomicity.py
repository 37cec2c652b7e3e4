"""MERGE and COPY as one transaction each."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from typing import Any

import duckdb
import fakesnow.cursor
import fakesnow.info_schema

SEVERAL_STATEMENTS = re.compile(r"\s*(?:merge|copy)\b", re.IGNORECASE)
MERGE_TABLE = "MERGE_CANDIDATES"


def run_merge_and_copy_in_one_transaction() -> None:
    """Stock: each is several statements that commit one by one; a failure in the middle leaves half of it."""
    stock = fakesnow.cursor.FakeSnowflakeCursor.execute
    fakesnow.cursor.FakeSnowflakeCursor.execute = _atomic(stock)


def _atomic(stock: Callable[..., Any]) -> Callable[..., Any]:
    def execute(self: Any, command: str, *args: Any, **kwargs: Any) -> Any:
        if not SEVERAL_STATEMENTS.match(command) or not _begin(self._duck_conn):
            return stock(self, command, *args, **kwargs)
        try:
            result = stock(self, command, *args, **kwargs)
            self._duck_conn.commit()
        except BaseException:
            with contextlib.suppress(duckdb.Error):
                self._duck_conn.rollback()
            raise
        return result

    return execute


def _begin(connection: duckdb.DuckDBPyConnection) -> bool:
    """True if it began a transaction, False if the session is in one already."""
    try:
        connection.begin()
    except duckdb.TransactionException:
        return False
    return True


def write_no_metadata_of_merge_tables() -> None:
    """Stock: MERGE notes its temporary table's columns in the emulator's own database, and DuckDB lets a
    transaction write to one database only."""
    module = fakesnow.info_schema
    module.insert_text_lengths_sql = _unless_merging(module.insert_text_lengths_sql)
    module.insert_table_comment_sql = _unless_merging(module.insert_table_comment_sql)


def _unless_merging(stock: Callable[..., str]) -> Callable[..., str]:
    def sql(catalog: str, schema: str, table: str, value: Any) -> str:
        if table.upper() == MERGE_TABLE or value in (None, "None"):
            return "SELECT 1"
        return stock(catalog, schema, table, value)

    return sql
