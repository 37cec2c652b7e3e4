"""The rows that a target should hold, in Postgres's own text, by one query without casts where a type has none."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

SESSION = (
    "set timezone to 'UTC'; set datestyle to 'ISO, MDY'; set intervalstyle to 'postgres';"
    " set bytea_output to 'hex'; set extra_float_digits to 3"
)
EXPRESSIONS = {
    "inet": "{}::text",
    "money": "{}::numeric",
    "regproc": "{}::regprocedure",
    "regoper": "{}::regoperator",
    "hstore": "{}::jsonb",
    "_money": "to_json({}::numeric[])",
}
"""How a type is shown whose own text is not what the target holds; arrays and composites are shown as JSON."""
TYPES = """
select oid, typname, typcategory = 'A' or typtype = 'c' from pg_type where oid = any(%s)
"""
PRIMARY_KEY = """
select a.attname from pg_constraint c cross join unnest(c.conkey) with ordinality k(attnum, at)
join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.attnum
where c.conrelid = %s::regclass and c.contype = 'p' order by k.at
"""
REJECTED = "select key from {}.sync_errors where source_table = %s and state = 'open'"
DOCUMENTS = {"json", "jsonb", "hstore"}
KINDS = {
    **dict.fromkeys(("int2", "int4", "int8", "oid"), "FIXED"),
    **dict.fromkeys(("float4", "float8"), "REAL"),
    "bool": "BOOLEAN",
    "bytea": "BINARY",
    "date": "DATE",
    "time": "TIME",
    "timestamp": "TIMESTAMP_NTZ",
    "timestamptz": "TIMESTAMP_TZ",
}


@dataclass(frozen=True)
class SourceColumn:
    """A column of the query's result. `kind` is the type that a column made for it in Snowflake has, `scale` its
    decimals."""

    name: str
    type_name: str
    kind: str
    scale: int
    expression: str


@dataclass(frozen=True)
class SourceRows:
    """All rows, a text (or None) for each column."""

    columns: Sequence[SourceColumn]
    rows: Sequence[tuple[str | None, ...]]


def connect(dsn: str) -> psycopg.Connection[Any]:
    connection = psycopg.connect(dsn, autocommit=True, client_encoding="UTF8")
    connection.execute(SESSION)
    return connection


def read(connection: psycopg.Connection[Any], query: str, replaced: Mapping[str, str]) -> SourceRows:
    """The query's rows. `replaced`: a column's name → the SQL expression that stands for it, as text."""
    columns = _columns(connection, query)
    cells = ", ".join(
        f"({replaced[c.name]})" if c.name in replaced else c.expression.format(_quoted(c.name))
        for c in columns
    )
    cursor = connection.execute(f"select {cells} from ({query}) source".encode())
    result = cursor.pgresult
    assert result is not None
    width = range(result.nfields)
    rows = [
        tuple(None if (v := result.get_value(row, at)) is None else v.decode() for at in width)
        for row in range(result.ntuples)
    ]
    return SourceRows(columns, rows)


def primary_key(connection: psycopg.Connection[Any], table: str) -> tuple[str, ...]:
    """Empty for a relation without one."""
    return tuple(name for (name,) in connection.execute(PRIMARY_KEY, [table]).fetchall())


def select_all(connection: psycopg.Connection[Any], table: str, where: str | None) -> str:
    """Rows of child tables belong to a partitioned table, and not to one that others inherit from."""
    row = connection.execute("select relkind from pg_class where oid = %s::regclass", [table]).fetchone()
    only = "only " if row == ("r",) else ""
    return f"select * from {only}{table}" + (f" where {where}" if where else "")


def rejected_keys(connection: psycopg.Connection[Any], schema: str, table: str) -> Collection[dict[str, Any]]:
    """Keys of rows that wait in the ledger because a value of theirs was rejected."""
    query = sql.SQL(REJECTED).format(sql.Identifier(schema))
    return [key for (key,) in connection.execute(query, [table]).fetchall()]


def _columns(connection: psycopg.Connection[Any], query: str) -> list[SourceColumn]:
    result = connection.execute(f"select * from ({query}) source limit 0".encode()).pgresult
    assert result is not None
    names = [(result.fname(at) or b"").decode() for at in range(result.nfields)]
    oids = [result.ftype(at) for at in range(result.nfields)]
    known = {oid: (name, nested) for oid, name, nested in connection.execute(TYPES, [oids]).fetchall()}
    return [
        _column(name, *known[oid], modifier=result.fmod(at))
        for at, (name, oid) in enumerate(zip(names, oids, strict=True))
    ]


def _column(name: str, type_name: str, nested: bool, *, modifier: int) -> SourceColumn:
    kind = "VARIANT" if nested or type_name in DOCUMENTS else KINDS.get(type_name, "TEXT")
    scale = 0
    if type_name == "numeric" and _fits_a_number(modifier):
        kind, scale = "FIXED", (modifier - 4) & 0x7FF
    expression = EXPRESSIONS.get(type_name, "to_json({})" if nested else "{}")
    return SourceColumn(name, type_name, kind, scale, expression)


def _fits_a_number(modifier: int) -> bool:
    """numeric(precision, scale) within Snowflake's 38 digits; -1 is a numeric without limits."""
    precision, scale = (modifier - 4) >> 16, (modifier - 4) & 0x7FF
    return modifier != -1 and precision <= 38 and scale <= 37


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
