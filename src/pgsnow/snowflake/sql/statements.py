# ruff: noqa: S608  (composing SQL is what this module is for; every name in it goes through names.py)
"""Statements that create, stage, merge and clean up, as text. Pure; every name is quoted, its case kept.

Sources: Snowflake docs, "CREATE TABLE", "SHOW TABLES", "PUT", "COPY INTO <table>", "MERGE", "REMOVE".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from pgsnow.model.batch import KeyBounds
from pgsnow.model.metadata_columns import (
    FENCE,
    FENCE_COLUMN,
    HASH_COLUMN,
    ORDER_COLUMN,
    RUN_ID_COLUMN,
    SYNCED_AT_COLUMN,
    MetadataColumn,
)
from pgsnow.model.table import TargetName
from pgsnow.model.types.mapping import Field
from pgsnow.snowflake.names import (
    folder_of,
    qualified,
    quote,
    schema_of,
    stage_of,
    stage_path,
    staging_prefix,
    staging_table,
    text,
)

WHOLE = "NUMBER(38,0)"
NOW = "CONVERT_TIMEZONE('UTC', CURRENT_TIMESTAMP())"
"""A TIMESTAMP_TZ: the form with two arguments keeps the zone (Snowflake docs, "CONVERT_TIMEZONE")."""
NOW_IN_COPY = "CONVERT_TIMEZONE('UTC', METADATA$START_SCAN_TIME)"
"""CURRENT_TIMESTAMP is not among the functions of a COPY, whose docs name this column instead."""
Filled = tuple[str, str]
"""A column of the target and the SQL that fills it."""
NO_COLLATION = "COLLATE ''"
UPLOAD_THREADS = 4
FILE_FORMAT_OPTIONS = (
    "TYPE=PARQUET NULL_IF=() USE_LOGICAL_TYPE=TRUE BINARY_AS_TEXT=FALSE USE_VECTORIZED_SCANNER=FALSE"
)
FILE_FORMAT = f"({FILE_FORMAT_OPTIONS})"
"""By default a COPY by column name loads the text `\\N` as NULL, timestamps as wrong values and bytea as text. Each
option is stated, because a default may change: docs/decisions/32-every-option-of-copy-is-stated.md"""
COPY_OPTIONS = "ON_ERROR=ABORT_STATEMENT TRUNCATECOLUMNS=FALSE PURGE=FALSE"
"""A stage of the user's may set copy options for every COPY from it; these options take precedence."""

_NO_WILDCARDS = str.maketrans({"\\": r"\\", "%": r"\%", "_": r"\_"})
"""For LIKE patterns that stand for a name alone: wildcards in it are escaped with a backslash."""


def declared(kind: str, *, required: bool = False) -> str:
    """The type of a new column. A text gets no collation, whatever DEFAULT_DDL_COLLATION is: keys that differ would be
    equal, in staging tables too (Snowflake docs, "Collation support", "DEFAULT_DDL_COLLATION"). required: NOT NULL."""
    parts = (kind, "NOT NULL" if required else "", NO_COLLATION if kind.startswith("VARCHAR") else "")
    return " ".join(filter(None, parts))


def create_schema(target: TargetName) -> str:
    return f"CREATE SCHEMA IF NOT EXISTS {schema_of(target)}"


def create_table(
    target: TargetName,
    output: Sequence[Field],
    key: Sequence[Field],
    own: Sequence[MetadataColumn] = (FENCE,),
    comment: str = "",
    *,
    transient: bool = False,
    clustered: Sequence[str] = (),
) -> str:
    """Only key columns are NOT NULL: a source may drop the constraint, and transforms may set values to NULL. Fails if
    the table exists, so that it is known whether it was created. clustered: names of the clustering key's columns."""
    keys = {field.target for field in key}
    columns = [f"{quote(f.target)} {declared(f.type.snowflake, required=f.target in keys)}" for f in output]
    columns += [f"{quote(column.name)} {declared(column.kind)}" for column in own]
    if key:
        columns.append(f"PRIMARY KEY ({_names(key)})")
    noted = f" COMMENT = {text(comment)}" if comment else ""
    clustering = f" CLUSTER BY ({', '.join(map(quote, clustered))})" if clustered else ""
    shape = f"{qualified(target)} ({', '.join(columns)}){clustering}{noted}"
    return f"CREATE TRANSIENT TABLE {shape}" if transient else f"CREATE TABLE {shape}"


def change_clustering(target: TargetName, names: Sequence[str]) -> str:
    """Give an existing table this clustering key (Snowflake docs, "Clustering Keys & Clustered Tables")."""
    return f"ALTER TABLE {qualified(target)} CLUSTER BY ({', '.join(map(quote, names))})"


def add_column(target: TargetName, name: str, kind: str) -> str:
    return f"ALTER TABLE {qualified(target)} ADD COLUMN IF NOT EXISTS {quote(name)} {declared(kind)}"


def rename_column(target: TargetName, old: str, new: str) -> str:
    return f"ALTER TABLE {qualified(target)} RENAME COLUMN {quote(old)} TO {quote(new)}"


def widen_column(target: TargetName, name: str, kind: str) -> str:
    return f"ALTER TABLE {qualified(target)} ALTER COLUMN {quote(name)} SET DATA TYPE {kind}"


def drop_column(target: TargetName, name: str) -> str:
    return f"ALTER TABLE {qualified(target)} DROP COLUMN IF EXISTS {quote(name)}"


def drop_primary_key(target: TargetName) -> str:
    return f"ALTER TABLE {qualified(target)} DROP PRIMARY KEY"


def drop_not_null(target: TargetName, name: str) -> str:
    return f"ALTER TABLE {qualified(target)} ALTER COLUMN {quote(name)} DROP NOT NULL"


def describe_table(target: TargetName) -> str:
    return f"DESCRIBE TABLE {qualified(target)}"


def show_table(target: TargetName) -> str:
    """Metadata of the target; needs no warehouse. LIKE ignores case: check the name."""
    return f"SHOW TABLES LIKE {text(target.table.translate(_NO_WILDCARDS))} IN SCHEMA {schema_of(target)}"


def show_tables(target: TargetName) -> str:
    """Metadata of all tables of the target's schema."""
    return f"SHOW TABLES IN SCHEMA {schema_of(target)}"


def show_object(target: TargetName) -> str:
    """The kind of the target, also if it is no table. LIKE ignores case: check the name."""
    return f"SHOW OBJECTS LIKE {text(target.table.translate(_NO_WILDCARDS))} IN SCHEMA {schema_of(target)}"


def set_comment(target: TargetName, comment: str) -> str:
    return f"ALTER TABLE {qualified(target)} SET COMMENT = {text(comment)}"


def create_stage(target: TargetName) -> str:
    return f"CREATE STAGE IF NOT EXISTS {stage_of(target)}"


def audit(run_id: str) -> tuple[Filled, ...]:
    """The audit columns with their values."""
    return ((SYNCED_AT_COLUMN, NOW), (RUN_ID_COLUMN, text(run_id)))


def create_staging(
    target: TargetName,
    batch: str,
    output: Sequence[Field],
    *,
    hashed: bool = False,
    more: Sequence[tuple[str, str]] = (),
) -> str:
    """OR REPLACE: a repeated batch starts empty, and COPY's load history, which belongs to the table, is empty too.
    Transient and without time travel: only this batch's MERGE reads it. more: further columns, with their types."""
    columns = [f"{quote(f.target)} {declared(f.type.staged)}" for f in output]
    if hashed:
        columns.append(f"{quote(HASH_COLUMN)} {declared('VARCHAR')}")
    columns += [f"{quote(name)} {declared(kind)}" for name, kind in more]
    columns.append(f"{quote(ORDER_COLUMN)} {WHOLE}")
    table = qualified(staging_table(target, batch))
    return f"CREATE OR REPLACE TRANSIENT TABLE {table} ({', '.join(columns)}) DATA_RETENTION_TIME_IN_DAYS=0"


def drop_staging(target: TargetName, batch: str) -> str:
    return f"DROP TABLE IF EXISTS {qualified(staging_table(target, batch))}"


def put(path: Path, folder: str) -> str:
    """The upload of a file into a folder of a stage. Part files are compressed Parquet, so nothing is compressed, and
    the client need not find out how a file is compressed: it reads the system's MIME types for each. It treats `*`, `?`
    and `[` in the path as a pattern, so such a path is a ValueError."""
    local = path.absolute().as_posix()
    if any(c in local for c in "*?["):
        raise ValueError(f"{local!r}: PUT would interpret this path as a pattern")
    options = f"AUTO_COMPRESS=FALSE SOURCE_COMPRESSION=NONE OVERWRITE=TRUE PARALLEL={UPLOAD_THREADS}"
    return f"PUT {text('file://' + local)} {folder} {options}"


def copy_into_staging(target: TargetName, into: str, origin: str, *, force: bool = False) -> str:
    """into: the batch whose staging table takes the rows. origin: the source, as SQL. force: load files even if
    they were loaded before."""
    return (
        f"COPY INTO {qualified(staging_table(target, into))} FROM {origin} FILE_FORMAT={FILE_FORMAT}"
        f" MATCH_BY_COLUMN_NAME=CASE_INSENSITIVE {COPY_OPTIONS}{' FORCE=TRUE' if force else ''}"
    )


def insert_into_staging(target: TargetName, batch: str, columns: Sequence[str]) -> str:
    names = ", ".join(quote(name) for name in columns)
    marks = ", ".join("?" for _ in columns)
    return f"INSERT INTO {qualified(staging_table(target, batch))} ({names}) VALUES ({marks})"


def merge(
    target: TargetName,
    batch: str,
    output: Sequence[Field],
    key: Sequence[Field],
    fence: int,
    audited: Sequence[Filled] = (),
    into: TargetName | None = None,
    bounds: KeyBounds | None = None,
) -> str:
    """audited: further columns of the target, each with its value. into: the table to merge into, as SQL. bounds: of
    the keys of all rows.

    One row per key is merged: the one read last. A matched row is overwritten unless a run with a higher fence wrote
    it, so a stale worker's late MERGE changes nothing, and a row whose watermark decreased is still updated.
    """
    source = f"{qualified(staging_table(target, batch))} AS r"
    return merge_from(into or target, source, output, key, str(fence), audited, bounds)


def merge_from(
    into: TargetName,
    source: str,
    output: Sequence[Field],
    key: Sequence[Field],
    fence: str,
    audited: Sequence[Filled] = (),
    bounds: KeyBounds | None = None,
) -> str:
    """`merge` of the rows of any source. source: text for FROM, with the rows as `r`. fence: as SQL."""
    added = [(FENCE_COLUMN, fence), *audited]
    names = [*(f.target for f in output), *(name for name, _ in added)]
    kinds = {f.target: f.type.snowflake for f in key}
    selected = ", ".join(f"{value} AS {quote(name)}" for name, value in [*staged_values(output), *added])
    partition = ", ".join(f"r.{quote(f.target)}" for f in key)
    matching = " AND ".join(f"t.{quote(f.target)} = s.{quote(f.target)}" for f in key)
    if bounds is not None and isinstance(bounds.low, int) and kinds.get(bounds.column) == WHOLE:
        matching += f" AND t.{quote(bounds.column)} BETWEEN {bounds.low} AND {bounds.high}"
    elif bounds is not None:
        from pgsnow.snowflake.sql.bounds import within  # most keys are integers

        condition = within(bounds, kinds)
        matching += f" AND {condition}" if condition else ""
    updates = ", ".join(f"t.{quote(name)} = s.{quote(name)}" for name in names if name not in kinds)
    old, new = f"t.{quote(FENCE_COLUMN)}", f"s.{quote(FENCE_COLUMN)}"
    return (
        f"MERGE INTO {qualified(into)} AS t USING ("
        f"SELECT {selected} FROM {source} "
        f"QUALIFY ROW_NUMBER() OVER (PARTITION BY {partition} ORDER BY r.{quote(ORDER_COLUMN)} DESC) = 1"
        f") AS s ON {matching} "
        f"WHEN MATCHED AND ({old} IS NULL OR {old} <= {new}) THEN UPDATE SET {updates} "
        f"WHEN NOT MATCHED THEN INSERT ({', '.join(map(quote, names))}) "
        f"VALUES ({', '.join(f's.{quote(name)}' for name in names)})"
    )


def staged_values(output: Sequence[Field]) -> list[Filled]:
    """Each loaded column, and the expression for its value in a staging table called `r`, in the target's type."""
    return [(f.target, f.type.merge.format(c=f"r.{quote(f.target)}")) for f in output]


def count_older(target: TargetName, fence: int, where: str = "TRUE") -> str:
    """How many of these rows no run with this fence or a later one wrote, and how many there are."""
    column = quote(FENCE_COLUMN)
    older = f"COUNT(CASE WHEN {column} IS NULL OR {column} < {fence} THEN 1 END)"
    return f"SELECT {older}, COUNT(*) FROM {qualified(target)} WHERE {where}"


def newest_fence(target: TargetName) -> str:
    """The highest fence in the target; NULL if it has no rows."""
    return f"SELECT MAX({quote(FENCE_COLUMN)}) FROM {qualified(target)}"


def is_above(column: str, value: str) -> str:
    """A condition: the column is above this SQL constant."""
    return f"{quote(column)} > {value}"


def remove_batch(target: TargetName, batch: str) -> str:
    return f"REMOVE {stage_path(target, batch)}"


def remove_batches(stage: str, batches: Iterable[str]) -> str:
    """Remove the files of all these batches from a stage (qualified and quoted). The pattern is compared with the whole
    path of a file, with or without the stage's name before it (Snowflake docs, "REMOVE")."""
    folders = "|".join(folder_of(batch).rstrip("/").replace(".", "[.]") for batch in batches)
    return f"REMOVE @{stage}/ PATTERN={text(f'(.*/)?({folders})/.*')}"


def list_staged(target: TargetName) -> str:
    return f"LIST @{stage_of(target)}"


def show_staging_tables(target: TargetName) -> str:
    """May find too many tables (`_` and `%` in the name are wildcards, and case is ignored): check the names."""
    return f"SHOW TABLES LIKE {text(staging_prefix(target) + '%')} IN SCHEMA {schema_of(target)}"


def cancel_statements(session: int) -> str:
    """Cancel all statements of a session that are still running (Snowflake docs, "SYSTEM$CANCEL_ALL_QUERIES")."""
    return f"SELECT SYSTEM$CANCEL_ALL_QUERIES({session})"


def count(target: TargetName, where: str = "") -> str:
    return f"SELECT COUNT(*) FROM {qualified(target)}{' WHERE ' + where if where else ''}"


def select(target: TargetName, fields: Sequence[Field], where: str = "") -> str:
    return f"SELECT {_names(fields)} FROM {qualified(target)}{' WHERE ' + where if where else ''}"


def select_named(target: TargetName, names: Sequence[str]) -> str:
    return f"SELECT {', '.join(map(quote, names))} FROM {qualified(target)}"


def key_is_one_of(key: Sequence[Field], values: Iterable[Sequence[str]]) -> str:
    """`values` are SQL constants."""
    listed = ", ".join(f"({', '.join(row)})" for row in values)
    return f"({_names(key)}) IN ({listed})"


def _names(fields: Iterable[Field]) -> str:
    return ", ".join(quote(field.target) for field in fields)
