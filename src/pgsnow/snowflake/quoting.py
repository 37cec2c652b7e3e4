"""Identifiers and text constants of Snowflake, quoted here and nowhere else.

Sources: Snowflake docs, "Identifier requirements" (double-quoted identifiers) and "String & binary data types"
(single-quoted string constants, in which a backslash begins an escape).
"""

from __future__ import annotations

from pgsnow.model.table import TargetName


def quote(name: str) -> str:
    """`Od"d` → `"Od""d"`. The case is kept. ValueError for what no identifier can hold."""
    if not name or "\0" in name:
        raise ValueError(f"{name!r} cannot be an identifier")
    return '"' + name.replace('"', '""') + '"'


def qualified(target: TargetName) -> str:
    """`"DB"."SCHEMA"."TABLE"`."""
    return f"{schema_of(target)}.{quote(target.table)}"


def schema_of(target: TargetName) -> str:
    """`"DB"."SCHEMA"`."""
    return f"{quote(target.database)}.{quote(target.schema)}"


def text(value: str) -> str:
    """A string constant."""
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
