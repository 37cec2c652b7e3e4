"""Is a table's content another one than before? A digest of all rows as text, whatever their order.

Two sums of 64-bit hashes and a count: two contents that differ have the same one with a chance of 2^-128. (Sums
of hashes go together as multisets do: equal rows count each.)
https://www.postgresql.org/docs/current/functions-string.html, `array_to_string` leaves NULLs out.
"""

from __future__ import annotations

from psycopg.sql import SQL, Composable, Identifier, Literal

from pgsnow.model.plan import TablePlan
from pgsnow.model.table import Column
from pgsnow.postgres import sql

SHORT = frozenset(
    {"bool", "int2", "int4", "int8", "oid", "float4", "float8", "money", "uuid", "date", "time", "timetz",
     "timestamp", "timestamptz", "interval"}
)  # fmt: skip
"""Types with a short text. Of others an MD5 goes into the row's text, which could not hold several of 1 GB."""


def digest(plan: TablePlan) -> Composable:
    """An expression, text: of the rows that `where` admits and the columns that are read."""
    row = SQL("array_to_string(array[{}]::text[], ',')").format(
        SQL(", ").join(_told(plan, field.source) for field in plan.fields)
    )
    return SQL(
        "(select count(*) || ':' || coalesce(sum(hashtextextended(r, 0)), 0) || ':'"
        " || coalesce(sum(hashtextextended(r, 1)), 0) from (select {} from {} where {}) as digested(r))"
    ).format(row, sql.table(plan), sql.both([sql.where_given(plan)]))


def _told(plan: TablePlan, name: str) -> Composable:
    """`<place>=<value>`, NULL for NULL. The length is not told: digests have one, and short texts hold no comma but in
    pairs of digits, after which no `=` comes."""
    column = plan.source.column(name)
    place = column.attnum if column is not None else 0
    return SQL("{} || {}").format(Literal(f"{place}="), _value(name, column))


def _value(name: str, column: Column | None) -> Composable:
    where = Identifier(name)
    kind = column.type_name if column is not None else ""
    if kind in SHORT:
        return SQL("{}::text").format(where)
    return SQL("md5({})" if kind == "bytea" else "md5({}::text)").format(where)
