"""Hash of a table's content, to see whether it changed: over all rows as text, whatever their order.

Two sums of 64-bit hashes and a count: two contents that differ have the same hash with a probability of
2^-128. (Sums of hashes compare multisets: equal rows count each.)
https://www.postgresql.org/docs/current/functions-string.html, `array_to_string` leaves NULLs out.

The hash belongs to the statement that computed it. A probe computes it in Postgres; a read gets the hashes of each row
with the row, and adds them up itself, so that what it reports is the hash of what it has read. Even in one snapshot
another statement may see another content: through a volatile function of a view, or from a foreign server."""

from __future__ import annotations

from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from pgsnow.model.plan import TablePlan
from pgsnow.postgres import sql

SHORT = frozenset(
    {"bool", "int2", "int4", "int8", "oid", "float4", "float8", "money", "uuid", "date", "time", "timetz",
     "timestamp", "timestamptz", "interval"}
)  # fmt: skip
"""Types with a short text. Of others an MD5 goes into the row's text, which could not hold several values of 1 GB."""


ROW_HASHES = ("__pgsnow_hash_0", "__pgsnow_hash_1")
"""Names of the columns with the hashes of a row, one for each sum of the content's hash."""


def content_hash(plan: TablePlan) -> Composable:
    """An SQL expression of type text: the hash of the rows that `where` admits, over the columns that are read."""
    return SQL(
        "(select count(*) || ':' || coalesce(sum(hashtextextended(r, 0)), 0) || ':'"
        " || coalesce(sum(hashtextextended(r, 1)), 0) from (select {} from {} where {}) as digested(r))"
    ).format(_row_text(plan), sql.table(plan), sql.both([sql.where_given(plan)]))


def row_hashes(plan: TablePlan) -> Composed:
    """A FROM item, to be added to the table's: the columns ROW_HASHES. OFFSET keeps Postgres from computing the row's
    text once for each of them."""
    return SQL(
        "lateral (select hashtextextended(r, 0) as {}, hashtextextended(r, 1) as {}"
        " from (select {} offset 0) as digested(r) offset 0) as __pgsnow_hashes"
    ).format(*map(Identifier, ROW_HASHES), _row_text(plan))


def _row_text(plan: TablePlan) -> Composable:
    """An SQL expression: the row as one text. Its own collation, because those of several columns may be in conflict,
    and one that calls different texts equal would hide a change."""
    return SQL("array_to_string(array[{}]::text[], ',') collate \"C\"").format(
        SQL(", ").join(_numbered_value(plan, field.source) for field in plan.fields)
    )


def _numbered_value(plan: TablePlan, name: str) -> Composable:
    """`<attnum>=<value>`, NULL for NULL. No length is needed: MD5s have one length, and short texts hold a comma only
    between digits, where no `=` follows."""
    column = plan.source.column(name)
    number = column.attnum if column is not None else 0
    kind = column.type_name if column is not None else ""
    value = SQL("{}::text" if kind in SHORT else "md5({})" if kind == "bytea" else "md5({}::text)")
    return SQL("{} || {}").format(Literal(f"{number}="), value.format(Identifier(name)))
