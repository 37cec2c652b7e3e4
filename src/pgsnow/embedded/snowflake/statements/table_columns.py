"""Columns of a table, as DuckDB describes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class EmulatedColumn:
    """A column of a table. default: as DuckDB reports it, also for a computed column."""

    name: str
    kind: str
    default: str | None

    @property
    def key(self) -> str:
        return self.name.upper()

    @property
    def quoted(self) -> str:
        return quoted(self.name)


def columns_of(connection: Any, table: str) -> list[EmulatedColumn]:
    """The columns of a table. table: its name in DuckDB. Raises DuckDB's error if it does not exist."""
    found = connection.execute("SELECT name, type, dflt_value FROM pragma_table_info(?)", [table]).fetchall()
    return [EmulatedColumn(*row) for row in found]


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
