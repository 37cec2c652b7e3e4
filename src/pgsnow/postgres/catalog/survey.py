"""Survey of all tables of a database: six catalog queries, however many tables there are; no table is read.

https://www.postgresql.org/docs/current/catalogs.html
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import psycopg
from psycopg.rows import dict_row

from pgsnow.model.discovery.survey import ColumnFacts, RowSecurity, SurveyedTable
from pgsnow.model.table import Column, SourceName, SourceTable
from pgsnow.postgres.any_bytes import any_bytes, misnamed
from pgsnow.postgres.catalog.trigger_source import argument_columns, assigned_columns
from pgsnow.postgres.errors import translating

Row = Mapping[str, Any]


def _queries() -> Mapping[str, str]:
    """Statements of survey.sql by the name in their `-- name:` line."""
    text = (files(__package__) / "survey.sql").read_text(encoding="utf-8")
    parts = (part.partition("\n") for part in text.split("-- name: ")[1:])
    return {name.strip(): body.strip().rstrip(";") for name, _, body in parts}


_SQL = _queries()


def survey(conn: psycopg.Connection[Any], named: Sequence[str] = ()) -> tuple[SurveyedTable, ...]:
    """Every table, view and foreign table that does not belong to the system or an extension, by schema and name.

    named: schemas that are included even if they belong to the system. Partitions are left out: their root represents
    them. Raises SourceUnavailable, SourceAccessDenied.
    """
    with translating(), any_bytes(conn), conn.cursor(row_factory=dict_row) as cursor:
        cursor.execute("set transaction isolation level repeatable read, read only")
        tables = cursor.execute(_SQL["tables"], {"named": list(named)}).fetchall()
        given = {"tables": [t["oid"] for t in tables], "schemas": list({t["schema"] for t in tables})}
        rows = {
            name: cursor.execute(_SQL[name], given).fetchall()
            for name in ("columns", "indexes", "sequences", "triggers", "statistics")
        }
    by_table = {name: _by_table(rows[name]) for name in ("columns", "indexes", "sequences", "triggers")}
    statistics = {(row["schema"], row["table"], row["column"]): row for row in rows["statistics"]}
    return tuple(
        _surveyed(table, {name: found.get(table["oid"], ()) for name, found in by_table.items()}, statistics)
        for table in tables
    )


def _by_table(rows: Sequence[Row]) -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        found[row["table"]].append(row)
    return dict(found)


def _surveyed(
    table: Row, rows: Mapping[str, Sequence[Row]], statistics: Mapping[tuple[str, str, str], Row]
) -> SurveyedTable:
    columns, indexes = rows["columns"], rows["indexes"]
    set_on_update = _set_on_update(rows["triggers"], [column["name"] for column in columns])
    here = (table["schema"], table["table"])
    return SurveyedTable(
        source=SourceTable(
            name=SourceName(*here),
            oid=table["oid"],
            relkind=table["relkind"],
            columns=tuple(_column(column) for column in columns),
            unique_keys=tuple(tuple(index["columns"]) for index in indexes if index["is_key"]),
            has_primary_key=any(index["is_primary"] and index["is_key"] for index in indexes),
            indexed_first=frozenset(index["columns"][0] for index in indexes if index["is_btree"]),
            sequence_cache=tuple((s["column"], s["cache"], s["increment"]) for s in rows["sequences"]),
            estimated_rows=table["estimated_rows"],
            total_bytes=table["total_bytes"],
        ),
        facts={
            column["name"]: _facts(column, statistics.get((*here, column["name"]), {}), set_on_update)
            for column in columns
        },
        may_use_schema=table["may_use_schema"],
        may_select=table["may_select"],
        role=table["role"],
        row_security=RowSecurity(table["row_security"]),
        rows_hidden=table["rows_hidden"],
        partitions=table["partitions"],
        foreign_partitions=table["foreign_partitions"],
        children=table["children"],
        inserts=table["inserts"],
        updates=table["updates"],
        misnamed=misnamed(
            table["oid"], table["schema"], table["table"], [(c["attnum"], c["name"]) for c in columns]
        ),
    )


def _column(row: Row) -> Column:
    return Column(
        name=row["name"],
        attnum=row["attnum"],
        type_name=row["type_name"],
        type_oid=row["type_oid"],
        typmod=row["typmod"],
        kind=row["kind"],
        category=row["category"],
        not_null=row["not_null"],
        has_default=row["has_default"],
    )


def _facts(column: Row, statistics: Row, set_on_update: frozenset[str]) -> ColumnFacts:
    return ColumnFacts(
        default_is_now=column["default_is_now"],
        generated=column["generated"],
        set_on_update=column["name"] in set_on_update,
        null_share=statistics.get("null_share"),
        ascending=statistics.get("correlation"),
    )


def _set_on_update(triggers: Sequence[Row], columns: Sequence[str]) -> frozenset[str]:
    found: set[str] = set()
    for trigger in triggers:
        found |= assigned_columns(trigger["body"])
        found |= argument_columns(trigger["arguments"], columns)
    return frozenset(found)
