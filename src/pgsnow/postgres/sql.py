"""Pieces of SQL that all reads share, composed and quoted here, and the text of values in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from pgsnow.model.plan import TablePlan
from pgsnow.model.types.mapping import Field

TXIDS = SQL("txid_snapshot_xmin(txid_current_snapshot()), txid_snapshot_xmax(txid_current_snapshot())")
"""The statement's snapshot: every 64-bit xid below the first has ended, none from the second on has begun.
https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-INFO-SNAPSHOT"""

LSN = SQL(
    "(case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_insert_lsn() end"
    " - '0/0'::pg_lsn)::bigint"
)
"""The end of the write-ahead log in bytes, called after the statement's snapshot is taken: no commit that the snapshot
shows lies behind it, flushed or not.
https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-ADMIN-BACKUP"""

NO_LSN = SQL("null::bigint")
"""In place of LSN, for a role that may not call those functions."""


def text_of(query: Composable) -> str:
    """The statement for a driver that takes text."""
    return query.as_string(None)


def raw(predicate: str) -> SQL:
    """SQL that a person wrote, as it is. It must not be formatted: it may hold braces."""
    return SQL(predicate)


def both(conditions: Iterable[Composable | None]) -> Composable:
    """The conditions that are not None, joined by AND; `true` if there are none."""
    present = [condition for condition in conditions if condition is not None]
    return SQL("\n  and ").join(present) if present else SQL("true")


def table(plan: TablePlan) -> Identifier:
    """The source table's qualified name."""
    return Identifier(plan.source.name.schema, plan.source.name.table)


def value_of(field: Field) -> Composed:
    """The expression that a column is read with, by its type's mapping."""
    return SQL(field.type.read).format(c=Identifier(field.source))


def sent_value(field: Field) -> Composed:
    """The expression that COPY sends for a column. The decoder turns it into the value of `value_of`."""
    return SQL(field.type.sent or field.type.read).format(c=Identifier(field.source))


def named(expressions: Iterable[tuple[Composable, str]]) -> Composed:
    """A SELECT list: expressions under their names."""
    return SQL(",\n  ").join(SQL("{} as {}").format(value, Identifier(name)) for value, name in expressions)


def where_given(plan: TablePlan) -> Composed | None:
    """The table's own `where:`, if any. The line break ends a comment that it may end with."""
    return None if plan.config.where is None else Composed([SQL("("), raw(plan.config.where), SQL("\n)")])


def watermark(plan: TablePlan) -> Identifier:
    """The watermark column. Raises ValueError for a plan without one."""
    return Identifier(plan.watermark_column.name)


def literal(value: str) -> Composable:
    """An untyped literal, so that Postgres reads it as the type that it is compared with. A byte that is not UTF-8, in
    Python a lone surrogate (`surrogateescape`), can only come from a database with encoding SQL_ASCII."""
    data = value.encode("utf-8", "surrogateescape")
    try:
        data.decode()
    except UnicodeDecodeError:
        return SQL("E'" + "".join(f"\\x{byte:02x}" for byte in data) + "'")
    return Literal(value)


def by_key(plan: TablePlan, key: Mapping[str, str | None]) -> Composable:
    """A condition: the row has this key. Values are untyped literals, so Postgres reads them as the column's
    own type."""
    terms = []
    for name in plan.pk:
        value = key.get(name)
        column = Identifier(name)
        if value is None:
            terms.append(SQL("{} is null").format(column))
        elif _BYTE.search(value) and getattr(plan.source.column(name), "type_name", "") in _TEXTS:
            terms.append(_equals_bytes(column, value))
        else:
            terms.append(SQL("{} = {}").format(column, Literal(value)))
    return SQL("({})").format(SQL(" and ").join(terms))


_BYTE = re.compile(r"\\x([89a-f][0-9a-f])")
"""A byte that is in no encoding, as the text of a rejected key shows it."""
_TEXTS = frozenset({"text", "varchar", "bpchar", "citext", "name"})


def _equals_bytes(column: Identifier, value: str) -> Composed:
    """A condition: the column has this text, or in a database with encoding SQL_ASCII the bytes that it stands for."""
    data = b"".join(
        bytes([int(part, 16)]) if at % 2 else part.encode() for at, part in enumerate(_BYTE.split(value))
    )
    return SQL(
        "({0} = {1} or {0} = case when getdatabaseencoding() = 'SQL_ASCII'"
        " then convert_from(decode({2}, 'hex'), 'SQL_ASCII') end)"
    ).format(column, Literal(value), Literal(data.hex()))


def in_leaves(leaves: Sequence[int]) -> Composed:
    """A condition: the row is stored in one of these tables (oids)."""
    return SQL("tableoid = any ({}::oid[])").format(Literal("{" + ",".join(str(oid) for oid in leaves) + "}"))


def text_of_value(value: object) -> str | None:
    """The text of a Python value that came out of Arrow, which Postgres reads back as the same value; None for None."""
    if value is None:
        return None
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ") + "+00"
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, Decimal):
        return format(value, "f")
    return str(value)
