"""Comments that people have written on tables and their columns (COMMENT ON)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from pgsnow.postgres.errors import translating

_QUERY = """
select c.oid, obj_description(c.oid, 'pg_class') as comment, (
    select jsonb_object_agg(a.attname, d.description)
    from pg_description d
    join pg_attribute a on a.attrelid = d.objoid and a.attnum = d.objsubid and not a.attisdropped
    where d.objoid = c.oid and d.classoid = 'pg_class'::regclass and d.objsubid > 0
) as columns
from pg_class c where c.oid = any(%s::oid[])
"""


@dataclass(frozen=True, slots=True)
class TableComments:
    """The comment on a table, '' if there is none, and on its columns, by name."""

    table: str
    columns: Mapping[str, str]


NO_COMMENTS = TableComments("", {})


def comments_of(conn: psycopg.Connection[Any], oids: Sequence[int]) -> dict[int, TableComments]:
    """The comments of each of these tables, by oid. Raises SourceUnavailable."""
    with translating():
        rows = conn.execute(_QUERY, [[*oids]]).fetchall()
    return {oid: TableComments(comment or "", columns or {}) for oid, comment, columns in rows}
