"""Tables as the log describes them: the relation messages of pgoutput.

https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LogColumn:
    """key: it is part of the replica identity. type_modifier: as in pg_attribute.atttypmod."""

    name: str
    type_oid: int
    type_modifier: int
    key: bool = False


@dataclass(frozen=True, slots=True)
class LogRelation:
    """One definition of a table, for the rows that follow it in the log. identity: its replica identity, as in
    pg_class.relreplident. Generated columns and columns that are not published are left out."""

    oid: int
    schema: str
    table: str
    identity: str
    columns: tuple[LogColumn, ...]
