"""The xids whose rows were read while an older transaction still kept the window open, so that each is read once."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
from psycopg.sql import SQL, Composable, Literal

from pgsnow.model.checkpoint import MAX_SEEN, Horizon
from pgsnow.model.plan import TablePlan
from pgsnow.postgres import sql
from pgsnow.postgres.incremental.sequence import SequenceState
from pgsnow.postgres.incremental.window import EPOCH, Window, is_integer, xid_from


def seen_xid(
    plan: TablePlan, window: Window, xmax: int, horizon: Horizon, sequence: SequenceState | None
) -> Composable:
    """An SQL expression: the xid of a row, NULL if the row does not prove that its transaction has ended.

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
        column, window.bound, column, _present(plan, horizon, sequence), xid
    )


def _present(plan: TablePlan, horizon: Horizon, sequence: SequenceState | None) -> Composable:
    """The highest watermark that a writer can have set by now, in any time zone, unless it made the value up."""
    if is_integer(plan):
        return Literal(int(sequence.value) if sequence is not None and sequence.value is not None else 0)
    return SQL("({}::timestamptz + interval '2 days')::{}").format(
        Literal(horizon.taken_at), SQL(plan.watermark_column.type_name)
    )


class SeenXids:
    """Collects xids batch by batch, at most MAX_SEEN: a forgotten one only costs a second read of its rows."""

    def __init__(self, before: frozenset[int], x: int) -> None:
        self._x = x
        self.xids = {xid for xid in before if xid >= x}

    def add(self, xids: pa.Array) -> None:
        """Add the xids of a batch's rows, an int64 array."""
        if len(self.xids) < MAX_SEEN:
            new = pc.unique(xids.filter(pc.greater_equal(xids, self._x)))
            self.xids.update(new.to_pylist()[: MAX_SEEN - len(self.xids)])
