"""Hash of a table's content, to see whether it changed: over all rows as text, whatever their order.

Two sums of 64-bit hashes and a count: two contents that differ have the same hash with a probability of
2^-128. (Sums of hashes compare multisets: equal rows count each.)
https://www.postgresql.org/docs/current/functions-string.html, `array_to_string` leaves NULLs out."""

from __future__ import annotations

from psycopg.sql import SQL, Composable, Identifier, Literal

from pgsnow.model.plan import TablePlan
from pgsnow.postgres import sql

SHORT = frozenset(
    {"bool", "int2", "int4", "int8", "oid", "float4", "float8", "money", "uuid", "date", "time", "timetz",
     "timestamp", "timestamptz", "interval"}
)  # fmt: skip
"""Types with a short text. Of others an MD5 goes into the row's text, which could not hold several values of 1 GB."""


def content_hash(plan: TablePlan) -> Composable:
    """An SQL expression of type text: the hash of the rows that `where` admits, over the columns that are read."""
    row = SQL("array_to_string(array[{}]::text[], ',')").format(
        SQL(", ").join(_numbered_value(plan, field.source) for field in plan.fields)
    )
    return SQL(
        "(select count(*) || ':' || coalesce(sum(hashtextextended(r, 0)), 0) || ':'"
        " || coalesce(sum(hashtextextended(r, 1)), 0) from (select {} from {} where {}) as digested(r))"
    ).format(row, sql.table(plan), sql.both([sql.where_given(plan)]))


def _numbered_value(plan: TablePlan, name: str) -> Composable:
    """`<attnum>=<value>`, NULL for NULL. No length is needed: MD5s have one length, and short texts hold a comma only
    between digits, where no `=` follows."""
    column = plan.source.column(name)
    number = column.attnum if column is not None else 0
    kind = column.type_name if column is not None else ""
    value = SQL("{}::text" if kind in SHORT else "md5({})" if kind == "bytea" else "md5({}::text)")
    return SQL("{} || {}").format(Literal(f"{number}="), value.format(Identifier(name)))
