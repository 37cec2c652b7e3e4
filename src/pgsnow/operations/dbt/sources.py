"""The sources of a dbt project as plain values: one source a target schema, with its tables, columns and tests.

https://docs.getdbt.com/reference/source-properties
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pgsnow.model.config.options import Deletes
from pgsnow.model.metadata_columns import (
    DELETED_AT_COLUMN,
    FENCE_COLUMN,
    HASH_COLUMN,
    OCCURRENCE_COLUMN,
    RUN_ID_COLUMN,
    SYNCED_AT_COLUMN,
)
from pgsnow.model.plan import TablePlan
from pgsnow.model.table import TargetName
from pgsnow.model.types.mapping import Field
from pgsnow.postgres.catalog.comments import TableComments
from pgsnow.snowflake.sql.heartbeat import read_heartbeat

NO_FRESHNESS: Mapping[str, float] = MappingProxyType({})
_PLAIN = re.compile(r"[A-Z_][A-Z0-9_$]*\Z")
_RESERVED = """
ACCOUNT ALL ALTER AND ANY AS BETWEEN BY CASE CAST CHECK COLUMN CONNECT CONNECTION CONSTRAINT CREATE CROSS
CURRENT CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP CURRENT_USER DATABASE DELETE DISTINCT DROP ELSE EXISTS FALSE
FOLLOWING FOR FROM FULL GRANT GROUP GSCLUSTER HAVING ILIKE IN INCREMENT INNER INSERT INTERSECT INTO IS ISSUE
JOIN LATERAL LEFT LIKE LOCALTIME LOCALTIMESTAMP MINUS NATURAL NOT NULL OF ON OR ORDER ORGANIZATION QUALIFY
REGEXP REVOKE RIGHT RLIKE ROW ROWS SAMPLE SCHEMA SELECT SET SOME START TABLE TABLESAMPLE THEN TO TRIGGER TRUE
TRY_CAST UNION UNIQUE UPDATE USING VALUES VIEW WHEN WHENEVER WHERE WITH
"""
"""Words that Snowflake takes for a name only in quotes: https://docs.snowflake.com/en/sql-reference/reserved-keywords"""
OWN_COLUMNS = {
    FENCE_COLUMN: "pgsnow: number of the run that wrote the row; it grows with every run.",
    SYNCED_AT_COLUMN: "pgsnow: when the row was loaded.",
    RUN_ID_COLUMN: "pgsnow: the run that loaded the row.",
    HASH_COLUMN: "pgsnow: hash of the row as it was loaded.",
    OCCURRENCE_COLUMN: "pgsnow: numbers equal rows.",
    DELETED_AT_COLUMN: "pgsnow: when the row was found to be deleted in Postgres; NULL: Postgres has it.",
}


@dataclass(frozen=True, slots=True)
class SyncedTable:
    """One table with its plan, and the comments that its source has."""

    plan: TablePlan
    comments: TableComments


def sources_of(
    tables: Iterable[SyncedTable], *, warn_after: Mapping[str, float] = NO_FRESHNESS
) -> dict[str, Any]:
    """The content of sources.yml. Sources and tables are in the order of the table list. warn_after: by table, the age
    in seconds from which dbt warns; those tables are in the heartbeat table of their schema."""
    schemas: dict[tuple[str, str], list[SyncedTable]] = {}
    for table in tables:
        target = table.plan.target
        schemas.setdefault((target.database, target.schema), []).append(table)
    shared = {schema for _, schema in schemas}
    return {
        "version": 2,
        "sources": [
            _source(*place, found, warn_after, unique=len(shared) == len(schemas))
            for place, found in schemas.items()
        ],
    }


def _source(
    database: str,
    schema: str,
    tables: Sequence[SyncedTable],
    warn_after: Mapping[str, float],
    *,
    unique: bool,
) -> dict[str, Any]:
    """unique: no other database has a schema of this name."""
    quoting = {
        what: True for what, name in (("database", database), ("schema", schema)) if not _is_plain(name)
    }
    return {
        "name": _shown(schema) if unique else f"{_shown(database)}_{_shown(schema)}",
        "description": "Loaded from Postgres by pgsnow.",
        "database": _shown(database),
        "schema": _shown(schema),
        **({"quoting": quoting} if quoting else {}),
        "tables": [_table(table, warn_after.get(table.plan.config.name)) for table in tables],
    }


def _table(table: SyncedTable, warn_after: float | None) -> dict[str, Any]:
    plan = table.plan
    name = plan.target.table
    quoted = {} if _is_plain(name) else {"identifier": name, "quoting": {"identifier": True}}
    return {
        "name": _shown(name),
        **quoted,
        "description": _table_description(table),
        **({} if warn_after is None else {"config": _freshness(table.plan.target, warn_after)}),
        "columns": [
            *(_column(table, field) for field in plan.output),
            *(
                {"name": name.lower(), "description": OWN_COLUMNS[name], "data_type": kind.lower()}
                for name, kind in plan.metadata_columns
            ),
        ],
    }


def _freshness(target: TargetName, warn_after: float) -> dict[str, Any]:
    """dbt's freshness by the heartbeat table: an error after six times the age of a warning. `loaded_at_query` needs
    dbt 1.10: https://docs.getdbt.com/reference/resource-properties/freshness"""
    minutes = max(1, math.ceil(warn_after / 60))
    return {
        "freshness": {
            "warn_after": {"count": minutes, "period": "minute"},
            "error_after": {"count": 6 * minutes, "period": "minute"},
        },
        "loaded_at_query": read_heartbeat(target),
    }


def _table_description(table: SyncedTable) -> str:
    texts = [_safe(table.comments.table), f"Synced from {table.plan.source.name} by pgsnow."]
    if table.plan.config.deletes is Deletes.SOFT:
        texts.append(
            f"Deleted rows stay, with their last values: filter with `{DELETED_AT_COLUMN.lower()} is null`."
        )
    if not table.plan.target_key and table.plan.pk:
        texts.append("Each change of a row is a row of its own.")
    return " ".join(text for text in texts if text)


def _column(table: SyncedTable, field: Field) -> dict[str, Any]:
    key = table.plan.target_key
    tests = ["unique"] * (len(key) == 1 and field in key) + ["not_null"] * (not field.nullable)
    comment = _safe(table.comments.columns.get(field.source, ""))
    return {
        "name": _shown(field.target),
        **({} if _is_plain(field.target) else {"quote": True}),
        **({"description": comment} if comment else {}),
        "data_type": field.type.snowflake.lower(),
        **({"data_tests": tests} if tests else {}),
    }


def _is_plain(name: str) -> bool:
    """True if Snowflake takes the name without quotes for the same one."""
    return _PLAIN.match(name) is not None and name not in _RESERVED.split()


def _shown(name: str) -> str:
    """The name as people write it in dbt: in lower case, unless it needs quotes."""
    return name.lower() if _is_plain(name) else name


def _safe(comment: str) -> str:
    """The comment without what dbt would run: descriptions are Jinja templates."""
    return re.sub(r"\{(?=[{%#])", "{ ", comment.replace("\0", "")).strip()
