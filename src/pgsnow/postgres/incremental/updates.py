"""The number of updates that the server has counted on a table, for tables whose rows should never change.

The counter lags behind by about a second, starts at 0 after a crash or a reset, and counts nothing on a standby
(PostgreSQL docs, "The Cumulative Statistics System", n_tup_upd).
"""

from __future__ import annotations

from psycopg.sql import SQL, Composed, Literal

from pgsnow.model.plan import TablePlan


def count_updates(plan: TablePlan) -> Composed:
    """A query for the number of updated rows, in the table and in all tables that hold rows of it."""
    oids = (
        "{"
        + ",".join(str(oid) for oid in (plan.source.oid, *(leaf.oid for leaf in plan.source.leaves)))
        + "}"
    )
    return SQL(
        "select coalesce(sum(n_tup_upd), 0)::bigint from pg_catalog.pg_stat_all_tables where relid = any ({}::oid[])"
    ).format(Literal(oids))
