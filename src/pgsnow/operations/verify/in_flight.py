"""Rows that are on their way: changed in the source after the last read, so that the target cannot have them yet."""

from __future__ import annotations

from psycopg.sql import SQL, Composable

from pgsnow.operations.verify.open_table import OpenTable
from pgsnow.postgres.errors import translating
from pgsnow.postgres.incremental.strategy import choose_strategy

_XMAX = SQL("txid_snapshot_xmax(txid_current_snapshot())")
_WITHOUT_XMIN = frozenset({"v", "m", "f"})


def unread_rows(table: OpenTable) -> Composable | None:
    """A condition on the source's table: the next run reads the row because it changed after the last read. None if
    that cannot be told: nothing was read yet, everything is read again, or rows do not show when they were written."""
    plan, checkpoint = table.plan, table.known.checkpoint
    if checkpoint is None or plan.source.relkind in _WITHOUT_XMIN:
        return None
    with translating(str(plan.source.name)):
        strategy = choose_strategy(
            lambda query: table.conn.execute(query).fetchall(), plan, checkpoint, table.horizon
        )
    window = strategy.window
    if strategy.full_read is not None or window is None or not (plan.has_xmin or window.bound):
        return None
    return window.condition(_XMAX)
