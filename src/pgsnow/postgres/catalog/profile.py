"""Profile of a table by one scan: what the catalog only estimates."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import psycopg
from psycopg.sql import SQL, Composable, Composed, Identifier

from pgsnow.model.discovery.survey import SurveyedTable
from pgsnow.model.errors import TableError
from pgsnow.model.plan import WATERMARK_TYPES
from pgsnow.postgres.errors import translating

IN_ORDER = SQL("set local max_parallel_workers_per_gather = 0; set local synchronize_seqscans = off")
"""Settings under which rows come in the order in which they are stored."""


def profile(conn: psycopg.Connection[Any], table: SurveyedTable) -> SurveyedTable:
    """The table with counted rows and bytes, and for each possible watermark column its share of NULLs, its number of
    distinct values, and the share of rows that are not below the row before them. Reads the whole table once.

    A table that cannot be read is returned unchanged. Raises SourceUnavailable.
    """
    if (
        table.source.relkind not in "rp"
        or not (table.may_use_schema and table.may_select)
        or table.rows_hidden
    ):
        return table
    columns = [
        column.name
        for column in table.source.columns
        if column.type_name in WATERMARK_TYPES and table.source.may_read(column.name)
    ]
    try:
        with translating(str(table.name)), conn.transaction():
            conn.execute(IN_ORDER)
            [(size,)] = conn.execute(_size(table)).fetchall()
            [counted] = conn.execute(_counts(table, columns)).fetchall()
    except TableError:
        return table
    rows = counted[0]
    facts = dict(table.facts)
    for number, column in enumerate(columns):
        filled, distinct, ascending = counted[1 + 3 * number : 4 + 3 * number]
        facts[column] = replace(
            table.facts_of(column),
            null_share=1 - filled / rows if rows else None,
            distinct=distinct,
            ascending=ascending,
        )
    source = replace(table.source, estimated_rows=rows, total_bytes=size)
    return replace(table, source=source, facts=facts, profiled=True)


def _size(table: SurveyedTable) -> Composed:
    return SQL(
        "select coalesce(sum(pg_total_relation_size(t.relid)), 0)::bigint from"
        " (select relid from pg_partition_tree({0}) union select {0}) t"
    ).format(SQL("{}::oid::regclass").format(table.source.oid))


def _counts(table: SurveyedTable, columns: list[str]) -> Composed:
    inner: list[Composable] = [SQL("1 as one")]
    outer: list[Composable] = [SQL("count(*)")]
    for number, column in enumerate(columns):
        value, up = Identifier(f"v{number}"), Identifier(f"up{number}")
        inner.append(SQL("{} as {}").format(Identifier(column), value))
        inner.append(SQL("{0} >= lag({0}) over () as {1}").format(Identifier(column), up))
        outer.append(SQL("count({0}), count(distinct {0}), avg({1}::int)::float8").format(value, up))
    only = SQL("only ") if table.children else SQL("")
    name = Identifier(table.name.schema, table.name.table)
    return SQL("select {} from (select {} from {}{}) t").format(
        SQL(", ").join(outer), SQL(", ").join(inner), only, name
    )
