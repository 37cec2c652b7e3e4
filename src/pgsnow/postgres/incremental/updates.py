"""The number of updates that the server has counted on a table, for tables whose rows should never change.

The counter lags behind by a second to a minute, starts at 0 after a crash or a reset, and counts nothing on a standby
(PostgreSQL docs, "The Cumulative Statistics System", n_tup_upd).
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.sql import SQL, Composed, Literal

from pgsnow.model.checkpoint import Checkpoint
from pgsnow.model.plan import TablePlan
from pgsnow.postgres.errors import translating
from pgsnow.postgres.sql import text_of


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


def shows_updates(conn: psycopg.Connection[Any], plan: TablePlan, checkpoint: Checkpoint | None) -> bool:
    """True if the server has counted updates since the last read: it counts late, so that read may have copied the
    updated rows. `conn` is in autocommit mode."""
    if checkpoint is None or checkpoint.updates is None:
        return False
    with translating(str(plan.source.name)):
        [(updates,)] = conn.execute(text_of(count_updates(plan)).encode()).fetchall()
    return bool(updates != checkpoint.updates)
