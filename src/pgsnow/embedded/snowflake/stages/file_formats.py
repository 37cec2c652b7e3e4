"""Named file formats: CREATE, SHOW and DROP FILE FORMAT."""

from __future__ import annotations

import re
from typing import Any

from fakesnow.transforms import stage
from fakesnow.transforms.options import parse_options
from sqlglot import exp

from pgsnow.embedded.snowflake.hooks.cursor import rewrite_text, rewrite_tree
from pgsnow.embedded.snowflake.hooks.errors import snowflake_error
from pgsnow.embedded.snowflake.stages.copy import refuse_unknown_options
from pgsnow.embedded.snowflake.stages.stages import NAME, answer_of
from pgsnow.embedded.snowflake.stages.storage import FORMATS

NOT_THERE = (2003, "02000")
DROP = re.compile(
    rf"\s*drop\s+file\s+format\s+(?P<exists>if\s+exists\s+)?(?P<name>{NAME})\s*;?\s*\Z", re.IGNORECASE
)
SHOW = re.compile(
    rf"\s*show\s+file\s+formats(?:\s+like\s+'(?P<like>[^']*)')?(?:\s+in\s+(?:schema\s+)?(?P<schema>{NAME}))?\s*;?\s*\Z",
    re.IGNORECASE,
)
SHOWN = "created_on, name, database_name, schema_name, type, 'SYSADMIN', comment, options"
LIKE = "name ILIKE ? ESCAPE '\\' ORDER BY name"
COLUMNS = ("created_on", "name", "database_name", "schema_name", "type", "owner", "comment", "format_options")


def create_formats_in_schemas() -> None:
    """Stock: accepts any option of a Parquet format, and creates formats in schemas that do not exist."""
    rewrite_tree(_checked, exp.Create)


def show_and_drop_formats() -> None:
    """Stock: SHOW FILE FORMATS and DROP FILE FORMAT are not supported."""
    rewrite_text(_drop)
    rewrite_text(_show)


def _checked(cursor: Any, node: exp.Expression) -> exp.Expression:
    if isinstance(node, exp.Create) and str(node.args.get("kind")).upper() == "FILE FORMAT":
        options = parse_options(node.args.get("properties") or [])
        options.pop("COMMENT", None)
        refuse_unknown_options(options)
        table = node.this
        _refuse_missing(cursor, table.catalog or cursor._conn.database, table.db or cursor._conn.schema)
    return node


def _refuse_missing(cursor: Any, database: str, schema: str) -> None:
    there = cursor._duck_conn.execute(
        "SELECT 1 FROM duckdb_schemas() WHERE database_name = ? AND schema_name = ?", [database, schema]
    ).fetchone()
    if there is None:
        raise snowflake_error(NOT_THERE, f"Schema '{database}.{schema}' does not exist or not authorized.")


def _drop(cursor: Any, command: str) -> str | None:
    match = DROP.match(command)
    if match is None:
        return None
    parts = stage.parts_from_var(match["name"], cursor._conn.database, cursor._conn.schema)
    removed = cursor._duck_conn.execute(
        f"DELETE FROM {FORMATS} WHERE database_name = ? AND schema_name = ? AND name = ? RETURNING name",  # noqa: S608
        list(parts),
    ).fetchone()
    if removed is None and not match["exists"]:
        raise snowflake_error(
            NOT_THERE, f"SQL compilation error:\nFile format '{parts[2]}' does not exist or not authorized."
        )
    return answer_of(("status",), [(f"{parts[2]} successfully dropped.",)])


def _show(cursor: Any, command: str) -> str | None:
    match = SHOW.match(command)
    if match is None:
        return None
    where = stage.parts_from_var(f"{match['schema']}._" if match["schema"] else "_", *_place(cursor))[:2]
    found = cursor._duck_conn.execute(
        f"SELECT {SHOWN} FROM {FORMATS} WHERE database_name = ? AND schema_name = ? AND {LIKE}",  # noqa: S608
        [*where, (match["like"] or "%").replace("\\\\", "\\")],
    ).fetchall()
    return answer_of(COLUMNS, found)


def _place(cursor: Any) -> tuple[str | None, str | None]:
    return cursor._conn.database, cursor._conn.schema
