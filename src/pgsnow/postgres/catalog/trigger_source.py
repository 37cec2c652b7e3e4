"""Columns that a BEFORE UPDATE trigger sets, from its function's source."""

from __future__ import annotations

import re
from collections.abc import Iterable

_COMMENTS = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_ASSIGNED = re.compile(
    r"(?:\A|;|\bbegin\b|\bthen\b|\belse\b|\bloop\b|\binto\b)\s*new\s*\.\s*(?:\"((?:[^\"]|\"\")+)\"|([a-z_][\w$]*))\s*"
    r"(?::=|=|;|\bfrom\b)",
    re.IGNORECASE,
)


def assigned_columns(body: str) -> frozenset[str]:
    """Columns that PL/pgSQL source assigns: `NEW.updated_at := now();`. Comments and conditions do not count."""
    found = set()
    for match in _ASSIGNED.finditer(_COMMENTS.sub(" ", body)):
        quoted, bare = match.groups()
        found.add(quoted.replace('""', '"') if quoted else bare.lower())
    return frozenset(found)


def argument_columns(arguments: str, columns: Iterable[str]) -> frozenset[str]:
    """Columns that a trigger names as arguments, as `moddatetime(updated_at)` does: tgargs ends each with a NUL
    (PostgreSQL docs, "pg_trigger")."""
    return frozenset(columns) & frozenset(arguments.split("\\000"))
