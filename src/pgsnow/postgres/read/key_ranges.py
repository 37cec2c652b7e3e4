"""Ranges of a large table's key, for tables of which no range of blocks can be read alone: on PostgreSQL before 14, and
with another access method than heap.

A row version's key, like its place in the file, does not change as long as the version lives, so the argument of
docs/decisions/17-a-backfill-in-chunks.md holds for these ranges, too.
"""

from __future__ import annotations

from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from pgsnow.model.backfill import Keys, ranges_between
from pgsnow.model.plan import TablePlan
from pgsnow.postgres import sql
from pgsnow.postgres.read.snapshot import Snapshot

SAMPLED = 64 << 20
"""Bytes of the table that are sampled to find the bounds: 8,192 blocks here and there."""
MOST = 10_000
"""Largest number of ranges of one table."""


def key_ranges(snap: Snapshot, plan: TablePlan, chunks: float, size: int) -> tuple[Keys, ...]:
    """About `chunks` ranges with about the same number of rows each. size: bytes of the table. One range if the sample
    holds no two keys."""
    count = min(MOST, max(2, round(chunks)))
    return ranges_between(
        [str(key) for (key,) in snap.fetch(_bounds(plan, count, min(100.0, 100 * SAMPLED / size)))]
    )


def in_keys(plan: TablePlan, keys: Keys) -> Composable:
    """A condition: the row is in this range. Values are untyped literals, so Postgres reads them as the
    column's own type."""
    column = SQL("{}.{}").format(sql.table(plan), Identifier(plan.pk[0]))
    since = None if keys.first is None else SQL("{} >= {}").format(column, Literal(keys.first))
    until = None if keys.end is None else SQL("{} < {}").format(column, Literal(keys.end))
    within = sql.both([since, until])
    return within if since is not None else SQL("({} or {} is null)").format(within, column)


def is_keyed(plan: TablePlan) -> Composable:
    """A condition on the table `c` in pg_class: a btree index begins with the key."""
    return SQL(
        "exists (select from pg_index i join pg_class x on x.oid = i.indexrelid join pg_am m on m.oid = x.relam"
        " join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]"
        " where i.indrelid = c.oid and i.indisvalid and i.indpred is null and m.amname = 'btree'"
        " and a.attname = {})"
    ).format(Literal(plan.pk[0] if plan.pk else ""))


def _bounds(plan: TablePlan, count: int, percent: float) -> Composed:
    """A query for count - 1 keys, ascending, with about the same number of rows between any two of them.

    https://www.postgresql.org/docs/current/sql-select.html#SQL-FROM (TABLESAMPLE SYSTEM: some of the blocks)"""
    shares = SQL(", ").join(Literal(part / count) for part in range(1, count))
    found = SQL(
        "select percentile_disc(array[{}]::float8[]) within group (order by {}) from {} tablesample system ({})"
    ).format(shares, Identifier(plan.pk[0]), sql.table(plan), Literal(percent))
    # As the key's type orders them: a plain `order by key` would mean the text that is selected.
    return SQL(
        "select bounds.key::text from (select distinct key from unnest(({})) as found(key)) as bounds"
        " where bounds.key is not null order by bounds.key"
    ).format(found)
