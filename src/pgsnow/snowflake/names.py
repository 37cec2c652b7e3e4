"""Names and string constants for Snowflake statements, quoted only here; and the names that belong to a batch: its
staging table and its path in the schema's stage.

Sources: Snowflake docs, "Identifier requirements" (double-quoted identifiers) and "String & binary data types"
(single-quoted string constants, in which a backslash begins an escape).
"""

from __future__ import annotations

import hashlib
import re

from pgsnow.model.table import TargetName

STAGE = "PGSNOW_STAGE"
"""One internal stage per schema; every batch has its own path in it."""
FILE_FORMAT = "PGSNOW_PARQUET"
"""One file format per schema, through which a SELECT reads part files."""
MARK = "__PGSNOW_"
LONGEST = 255
"""Characters of an identifier (Snowflake docs, "Identifier requirements")."""
_BATCH = re.compile(r"(?P<slug>[A-Za-z0-9_.-]+)/(?P<fence>\d+)-(?P<number>\d+)\Z")
_SUFFIX = re.compile(re.escape(MARK) + r"\d+_\d+\Z")


def quote(name: str) -> str:
    """`Od"d` → `"Od""d"`. The case is kept. ValueError for text that cannot be an identifier."""
    if not name or "\0" in name:
        raise ValueError(f"{name!r} cannot be an identifier")
    return '"' + name.replace('"', '""') + '"'


def qualified(target: TargetName) -> str:
    """`"DB"."SCHEMA"."TABLE"`."""
    return ".".join(map(quote, (target.database, target.schema, target.table)))


def schema_of(target: TargetName) -> str:
    """`"DB"."SCHEMA"`."""
    return f"{quote(target.database)}.{quote(target.schema)}"


def text(value: str) -> str:
    """A string constant."""
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def staging_table(target: TargetName, batch: str) -> TargetName:
    """`<TABLE>__PGSNOW_<fence>_<n>` for the batch `<slug>/<fence>-<n>`. ValueError for another form."""
    match = _match(batch)
    return target.sibling(f"{staging_prefix(target)}{match['fence']}_{match['number']}")


def staging_prefix(target: TargetName) -> str:
    """The beginning of the names of all staging tables of this target. A very long name is shortened, but stays
    unique."""
    room = LONGEST - len(MARK) - 2 * 20
    table = target.table
    if len(table) > room:
        digest = hashlib.sha256(table.encode()).hexdigest()[:12]
        table = f"{table[: room - 13]}_{digest}"
    return table + MARK


def is_staging_of(target: TargetName, table: str) -> bool:
    """True if a table with this name is the staging table of a batch of `target`."""
    prefix = staging_prefix(target)
    return table.startswith(prefix) and bool(_SUFFIX.match(table, len(prefix) - len(MARK)))


def stage_of(target: TargetName) -> str:
    """The stage of the target's schema, qualified and quoted, without the @."""
    return f"{schema_of(target)}.{quote(STAGE)}"


def file_format_of(target: TargetName) -> str:
    """The file format of the target's schema, qualified and quoted."""
    return f"{schema_of(target)}.{quote(FILE_FORMAT)}"


def stage_path(target: TargetName, batch: str) -> str:
    """`@"DB"."SCHEMA"."PGSNOW_STAGE"/<batch>/`. The closing slash separates batch 1 from batch 10, because a path
    in a stage is a prefix (Snowflake docs, "COPY INTO <table>"). ValueError for a batch name that would need
    quoting."""
    return f"@{schema_of(target)}.{quote(STAGE)}/{_match(batch)[0]}/"


def folder_of(batch: str) -> str:
    """`<batch>/`. ValueError for a name that is not a batch's."""
    _match(batch)
    return f"{batch}/"


def _match(batch: str) -> re.Match[str]:
    match = _BATCH.match(batch)
    if match is None:
        raise ValueError(f"{batch!r} is not a batch's name (<slug>/<fence>-<number>)")
    return match
