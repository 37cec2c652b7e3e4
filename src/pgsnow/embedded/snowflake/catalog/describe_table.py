"""DESCRIBE TABLE."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import fakesnow.transforms
from sqlglot import exp

from pgsnow.embedded.snowflake.statements.collations import Collations
from pgsnow.embedded.snowflake.statements.table_columns import quoted

INFORMATION_SCHEMA = "_FS_INFORMATION_SCHEMA"
COLUMNS = """
name,
    CASE WHEN type LIKE 'DECIMAL%' THEN replace(type, 'DECIMAL', 'NUMBER')
         WHEN type = 'BIGINT' THEN 'NUMBER(38,0)'
         WHEN type = 'VARCHAR' THEN
            'VARCHAR(' || coalesce(ext_character_maximum_length, 16777216) || ')' || {collation}
         WHEN type = 'DOUBLE' THEN 'FLOAT'
         WHEN type = 'BLOB' THEN 'BINARY(8388608)'
         WHEN type = 'TIME' THEN 'TIME(9)'
         WHEN type = 'TIMESTAMP' THEN 'TIMESTAMP_NTZ(9)'
         WHEN type = 'TIMESTAMP WITH TIME ZONE' THEN 'TIMESTAMP_TZ(9)'
         WHEN type = 'JSON' THEN 'VARIANT'
         ELSE type END AS "type",
    'COLUMN' AS "kind",
    CASE WHEN "notnull" THEN 'N' ELSE 'Y' END AS "null?",
    dflt_value AS "default",
    'N' AS "primary key",
    'N' AS "unique key",
    NULL::VARCHAR AS "check",
    NULL::VARCHAR AS "expression",
    NULL::VARCHAR AS "comment",
    NULL::VARCHAR AS "policy name",
    NULL::JSON AS "privacy domain"
FROM pragma_table_info({full_name})
LEFT JOIN _fs_global._fs_information_schema._fs_columns_ext
    ON ext_table_catalog = {catalog} AND ext_table_schema = {schema} AND ext_table_name = {table}
    AND ext_column_name = name
ORDER BY cid
"""
"""Not from duckdb_columns(), which looks at the columns of all tables and views of all databases."""
COLLATION = """CASE WHEN EXISTS (
    SELECT 1 FROM duckdb_tables() AS t
    WHERE t.database_name = {catalog} AND t.schema_name = {schema} AND t.table_name = {table}
        AND (contains(t.sql, name || ' VARCHAR COLLATE NOCASE')
            OR contains(t.sql, '"' || name || '" VARCHAR COLLATE NOCASE'))
) THEN ' COLLATE ''en-ci''' ELSE '' END"""
"""All collations that ignore case are one in DuckDB."""


def describe_one_table(collations: Collations) -> None:
    """Stock: parses and runs a join of the columns of all tables of all databases with one another, which
    takes several times as long."""
    fakesnow.transforms.describe_table = _of_one_table(fakesnow.transforms.describe_table, collations)


def _of_one_table(stock: Callable[..., Any], collations: Collations) -> Callable[..., Any]:
    def describe_table(node: Any, database: str | None = None, schema: str | None = None) -> Any:
        table = node.find(exp.Table) if isinstance(node, exp.Describe) else None
        if table is None or str(node.args.get("kind")).upper() not in ("TABLE", "VIEW"):
            return stock(node, database, schema)
        catalog, within = table.catalog or database, table.db or schema
        if within == INFORMATION_SCHEMA:
            return stock(node, database, schema)
        full_name = ".".join(map(quoted, (catalog, within, table.name)))
        names = {"catalog": catalog, "schema": within, "table": table.name, "full_name": full_name}
        literals = {part: exp.Literal.string(name).sql("duckdb") for part, name in names.items()}
        shown = COLLATION.format(**literals) if collations.used else "''"  # looking it up takes time
        columns = COLUMNS.format(collation=shown, **literals)
        return exp.Command(this="SELECT", expression=columns)  # text, not parsed again

    return describe_table
