"""Survey of all tables of a database: six catalog queries, however many tables there are; no table is read.

https://www.postgresql.org/docs/current/catalogs.html
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from importlib.resources import files
from typing import Any

import psycopg
from psycopg.rows import dict_row

from pgsnow.model.discovery.survey import ColumnFacts, RowSecurity, SurveyedTable
from pgsnow.model.discovery.watermark_choice import INTEGERS, is_set_at_insert
from pgsnow.model.errors import SourceQueryFailed
from pgsnow.model.table import Column, SourceName, SourceTable
from pgsnow.postgres.any_bytes import any_bytes, misnamed
from pgsnow.postgres.catalog.trigger_source import Moved, moved_arguments, moved_columns
from pgsnow.postgres.errors import translating

Row = Mapping[str, Any]


def _queries() -> Mapping[str, str]:
    """Statements of survey.sql by the name in their `-- name:` line."""
    text = (files(__package__) / "survey.sql").read_text(encoding="utf-8")
    parts = (part.partition("\n") for part in text.split("-- name: ")[1:])
    return {name.strip(): body.strip().rstrip(";") for name, _, body in parts}


_SQL = _queries()


def survey(
    conn: psycopg.Connection[Any], named: Sequence[str] = (), only: Sequence[SourceName] | None = None
) -> tuple[SurveyedTable, ...]:
    """Every table, view and foreign table that does not belong to the system or an extension, by schema and name.

    named: schemas that are included even if they belong to the system or an extension. only: the tables to survey,
    if not all. Partitions are left out: their root represents
    them. Raises SourceUnavailable, SourceAccessDenied.
    """
    wanted = {
        "named": list(named),
        "schemas": None if only is None else [name.schema for name in only],
        "tables": None if only is None else [name.table for name in only],
    }
    with translating(), any_bytes(conn), conn.cursor(row_factory=dict_row) as cursor:
        cursor.execute("set transaction isolation level repeatable read, read only")
        tables = cursor.execute(_SQL["tables"], wanted).fetchall()
        given = {"tables": [t["oid"] for t in tables], "schemas": list({t["schema"] for t in tables})}
        rows = {
            name: cursor.execute(_SQL[name], given).fetchall()
            for name in ("columns", "indexes", "sequences", "triggers", "statistics")
        }
    by_table = {name: _by_table(found) for name, found in rows.items()}
    return tuple(
        _surveyed(table, {name: found.get(table["oid"], ()) for name, found in by_table.items()})
        for table in tables
    )


def survey_of(conn: psycopg.Connection[Any], names: Sequence[SourceName]) -> dict[SourceName, SurveyedTable]:
    """The survey of these tables; those that are missing, partitions or members of an extension are left out. Raises
    SourceUnavailable, SourceAccessDenied."""
    try:
        found = survey(conn, [name.schema for name in names], names)
    except SourceQueryFailed as error:
        if error.code != psycopg.errors.UntranslatableCharacter.sqlstate:
            raise
        # In a name, which cannot exist in this database's encoding. The other tables must still be found.
        each = (survey_of(conn, [name]) for name in names) if len(names) > 1 else ()
        return {name: table for one in each for name, table in one.items()}
    return {table.name: table for table in found}


def _by_table(rows: Sequence[Row]) -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        found[row["table"]].append(row)
    return dict(found)


def _surveyed(table: Row, rows: Mapping[str, Sequence[Row]]) -> SurveyedTable:
    columns, indexes = rows["columns"], rows["indexes"]
    moved = _moved(rows["triggers"], [column["name"] for column in columns])
    at_insert = {
        column["name"] for column in columns if is_set_at_insert(column["name"], column["default_is_now"])
    }
    statistics = {row["column"]: row for row in rows["statistics"]}
    return SurveyedTable(
        source=SourceTable(
            name=SourceName(table["schema"], table["table"]),
            oid=table["oid"],
            relkind=table["relkind"],
            columns=tuple(_column(column) for column in columns),
            unique_keys=tuple(tuple(index["columns"]) for index in indexes if index["is_key"]),
            has_primary_key=any(index["is_primary"] and index["is_key"] for index in indexes),
            indexed_first=frozenset(index["columns"][0] for index in indexes if index["is_btree"]),
            sequence_cache=tuple((s["column"], s["cache"], s["increment"]) for s in rows["sequences"]),
            estimated_rows=table["estimated_rows"],
            total_bytes=table["total_bytes"],
            unreadable=tuple((name, quoted) for name, quoted in table["unreadable"] or ()),
            quoted=table["quoted"],
            role=table["role"],
        ),
        facts={
            column["name"]: _facts(column, statistics.get(column["name"], {}), moved, at_insert)
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
        partitions_key=tuple(table["partitions_key"]),
        partitioned_by=tuple(table["partitioned_by"]),
        inserts=table["inserts"],
        updates=table["updates"],
        deletes=table["deletes"],
        logical=table["logical"],
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
        nondeterministic=row["nondeterministic"],
        always_identity=row["always_identity"],
    )


def _facts(column: Row, statistics: Row, moved: Mapping[str, Moved], at_insert: Set[str]) -> ColumnFacts:
    name = column["name"]
    later = [share for other, share in (statistics.get("later") or {}).items() if other in at_insert]
    needed = Moved.SEQUENCE if column["type_name"] in INTEGERS else Moved.CLOCK
    return ColumnFacts(
        default_is_now=column["default_is_now"],
        generated=column["generated"],
        set_on_update=moved.get(name) is needed,
        later=max((float(share) for share in later if share is not None), default=None),
        null_share=statistics.get("null_share"),
        ascending=statistics.get("correlation"),
    )


def _moved(triggers: Sequence[Row], columns: Sequence[str]) -> dict[str, Moved]:
    found: dict[str, Moved] = {}
    for trigger in triggers:
        found |= moved_columns(trigger["body"])
        named = moved_arguments(trigger["body"], trigger["arguments"], columns)
        found |= dict.fromkeys(named, Moved.CLOCK)
    return found
