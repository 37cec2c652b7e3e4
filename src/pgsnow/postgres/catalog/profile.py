"""Profile of a table by one scan: what the catalog only estimates."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import psycopg
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from pgsnow.model.discovery.survey import SurveyedTable
from pgsnow.model.discovery.watermark_choice import INTEGERS, is_set_at_insert
from pgsnow.model.plan import WATERMARK_TYPES
from pgsnow.model.types.type_rules import is_unbounded
from pgsnow.postgres.errors import translating

IN_ORDER = SQL("set local max_parallel_workers_per_gather = 0; set local synchronize_seqscans = off")
"""Settings under which rows come in the order in which they are stored."""

FEWEST_MOMENTS = 10
"""Different values that are later than their row's insert, from which on updates are seen to move a column."""
_FIGURES = 5
"""Figures of each possible watermark column."""


def profile(conn: psycopg.Connection[Any], table: SurveyedTable) -> SurveyedTable:
    """The table with counted rows, bytes and transactions; for each possible watermark column its share of NULLs, its
    number of distinct values, the share of rows that are not below the row before them, and how it compares with the
    time of the insert; and the digits of numeric columns without precision. Reads the whole table once.

    A table that the role may not read is returned unchanged. Raises SourceUnavailable, SourceQueryFailed.
    """
    if (
        table.source.relkind not in "rp"
        or not (table.may_use_schema and table.may_select)
        or table.rows_hidden
    ):
        return table
    readable = [column for column in table.source.columns if table.source.may_read(column.name)]
    columns = [column.name for column in readable if column.type_name in WATERMARK_TYPES]
    numbers = [column.name for column in readable if is_unbounded(column)]
    with translating(str(table.name)), conn.transaction():
        conn.execute(IN_ORDER)
        [(size,)] = conn.execute(_size(table)).fetchall()
        [counted] = conn.execute(_counts(table, columns, numbers)).fetchall()
    rows, transactions, *figures = counted
    facts = dict(table.facts)
    for column in columns:
        filled, distinct, ascending, days, later = (figures.pop(0) for _ in range(_FIGURES))
        facts[column] = replace(
            table.facts_of(column),
            null_share=1 - filled / rows if rows else None,
            distinct=distinct,
            ascending=ascending,
            days=days,
            later=later,
        )
    for column in numbers:
        facts[column] = replace(table.facts_of(column), integer_digits=figures.pop(0), scale=figures.pop(0))
    source = replace(table.source, estimated_rows=rows, total_bytes=size)
    return replace(table, source=source, facts=facts, profiled=True, transactions=transactions)


def _size(table: SurveyedTable) -> Composed:
    return SQL(
        "select coalesce(sum(pg_total_relation_size(t.relid)), 0)::bigint from"
        " (select relid from pg_partition_tree({0}) union select {0}) t"
    ).format(SQL("{}::oid::regclass").format(table.source.oid))


def _counts(table: SurveyedTable, columns: list[str], numbers: list[str]) -> Composed:
    """One row: rows, transactions, then _FIGURES for each column, then two for each number."""
    has_writer = not table.foreign_partitions and table.source.may_read("xmin")
    inner: list[Composable] = [SQL("xmin::text as writer" if has_writer else "null as writer")]
    outer: list[Composable] = [SQL("count(*), count(distinct writer)")]
    for number, column in enumerate(columns):
        value, up = Identifier(f"v{number}"), Identifier(f"up{number}")
        inner.append(SQL("{} as {}").format(Identifier(column), value))
        inner.append(SQL("{0} >= lag({0}) over () as {1}").format(Identifier(column), up))
        outer.append(SQL("count({0}), count(distinct {0}), avg({1}::int)::float8").format(value, up))
        outer.append(_days(table, column, value))
        outer.append(_later(table, columns, column, value))
    for number, column in enumerate(numbers):
        value = Identifier(f"n{number}")
        inner.append(SQL("{} as {}").format(Identifier(column), value))
        # A NaN and the infinities have letters, and no NUMBER holds them.
        finite = SQL("not bool_or({}::text ~ '[a-zA-Z]')").format(value)
        for digits in ("length(trunc(abs({}))::text)", "scale({})"):
            outer.append(SQL("case when {} then max({}) end").format(finite, SQL(digits).format(value)))
    only = SQL("only ") if table.children else SQL("")
    name = Identifier(table.name.schema, table.name.table)
    return SQL("select {} from (select {} from {}{}) t").format(
        SQL(", ").join(outer), SQL(", ").join(inner), only, name
    )


def _days(table: SurveyedTable, column: str, value: Identifier) -> Composable:
    found = table.source.column(column)
    if found is None or found.type_name in INTEGERS:
        return SQL("null::float8")
    finite = SQL("({} filter (where {} between '0001-01-01' and '9999-12-31'))::timestamp")
    ends = [finite.format(SQL("{}({})").format(SQL(end), value), value) for end in ("max", "min")]
    return SQL("(extract(epoch from {} - {}) / 86400)::float8").format(*ends)


def _later(table: SurveyedTable, columns: list[str], column: str, value: Identifier) -> Composable:
    """The largest share of rows that are later than another column of the type that is set at insert."""
    kinds = {each.name: each.type_name for each in table.source.columns}
    others = [
        Identifier(f"v{number}")
        for number, other in enumerate(columns)
        if other != column
        and kinds[other] == kinds[column]
        and kinds[other] not in INTEGERS
        and is_set_at_insert(other, table.facts_of(other).default_is_now)
    ]
    shares = [_share_later(value, other) for other in others]
    return SQL("greatest({})::float8").format(SQL(", ").join(shares)) if shares else SQL("null::float8")


def _share_later(value: Identifier, inserted: Identifier) -> Composable:
    """The share of rows that are later than their insert. 0 if only a few moments are: a column that was added with a
    default, or filled by one statement, has the time of that in all older rows."""
    later = SQL("{1} between '0001-01-01' and '9999-12-31' and {0} > {1} + interval '1 min'")
    is_later = SQL("case when {} then true else false end").format(later.format(value, inserted))
    return SQL(
        "case when count(distinct {0}) filter (where {1}) >= {2} then avg(({1})::int) else 0 end"
    ).format(value, is_later, Literal(FEWEST_MOMENTS))
