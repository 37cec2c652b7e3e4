"""The statements of queries.sql by name, composed for one schema."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

from psycopg import sql

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


@cache
def statements() -> dict[str, str]:
    """Name → text with {schema} and %(parameter)s placeholders, comments left in."""
    text = files("pgsnow.ledger").joinpath("queries.sql").read_text(encoding="utf-8")
    parts = _NAME.split(text)[1:]
    return dict(zip(parts[::2], (part.strip().rstrip(";") for part in parts[1::2]), strict=True))


class Queries:
    """The ledger's statements in one schema: `queries["claim"]`. KeyError for a name that queries.sql has
    not.
    """

    def __init__(self, schema: str) -> None:
        self._schema = sql.Identifier(schema)
        self._composed: dict[str, sql.Composed] = {}

    def __getitem__(self, name: str) -> sql.Composed:
        if name not in self._composed:
            self._composed[name] = sql.SQL(statements()[name]).format(schema=self._schema)
        return self._composed[name]
