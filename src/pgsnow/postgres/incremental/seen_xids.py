"""Exactly once: the xids whose rows were read while an older transaction still held the window open."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
from psycopg.sql import SQL, Composable, Literal

from pgsnow.model.checkpoint import MAX_SEEN, Horizon
from pgsnow.model.plan import TablePlan
from pgsnow.postgres import sql
from pgsnow.postgres.incremental.sequence import Feed
from pgsnow.postgres.incremental.window import EPOCH, Window, is_integer, xid_from


def seen_xid(plan: TablePlan, window: Window, xmax: int, horizon: Horizon, feed: Feed | None) -> Composable:
    """The xid of a row, NULL if the row does not prove that its transaction has ended.

    A visible row proves it, except on a server that has given out more than 2^32 xids: a row that was frozen long
    ago still shows the low half of its xid, and that may now be a running transaction's, whose rows must not be
    taken for read. Only a watermark between the bound and the present tells that a row is new.
    """
    xid = xid_from(window.since)
    if xmax < EPOCH:
        return xid
    if window.bound is None:
        return SQL("null::bigint")
    column = sql.watermark(plan)
    return SQL("case when {} >= {} and {} <= {} then {} end").format(
        column, window.bound, column, _present(plan, horizon, feed), xid
    )


def _present(plan: TablePlan, horizon: Horizon, feed: Feed | None) -> Composable:
    """No writer's watermark is above this, whatever its time zone, unless it was made up."""
    if is_integer(plan):
        return Literal(int(feed.value) if feed is not None and feed.value is not None else 0)
    return SQL("({}::timestamptz + interval '2 days')::{}").format(
        Literal(horizon.taken_at), SQL(plan.watermark_column.type_name)
    )


class SeenXids:
    """Collects them, batch by batch. Forgetting any costs a re-read only, so there is a cap."""

    def __init__(self, before: frozenset[int], x: int) -> None:
        self._x = x
        self.xids = {xid for xid in before if xid >= x}

    def see(self, xids: pa.Array) -> None:
        if len(self.xids) < MAX_SEEN:
            new = pc.unique(xids.filter(pc.greater_equal(xids, self._x)))
            self.xids.update(new.to_pylist()[: MAX_SEEN - len(self.xids)])
