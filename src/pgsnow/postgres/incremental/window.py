"""Which row versions an incremental read must read. The invariants that make it lossless, and where each is kept:

I1  A row version that snapshot k does not show has an xid of at least xmin(k): everything below had ended. A
    subtransaction's xid is above its parent's, so it holds for those too.                             (Window.since)
I2  The transaction that wrote it began at the horizon's `low` or later, and so did its now(),
    statement_timestamp() and clock_timestamp().                                                      (horizon.py)
I3  So reading `watermark >= low and xid >= xmin(k)` after snapshot k misses nothing that k missed. Either term alone
    would do: the xid term trims re-reads, the watermark term lets an index serve.              (Window.condition)
I4  Xids mean something on one server and timeline only, and 32 bits of them tell an order over a distance of less
    than 2^31 only; otherwise everything is read.                                                      (reason.py)
I5  Once (xmin, low) are taken before the first page, later pages may use snapshots of their own.      (cursor.py)
I6  I2 fails for watermarks that the application supplies, for logical replicas and for clocks that step back. max_skew
    widens `low`, and so does the newest watermark read, which others may copy; audits find what that does not cover.
                                                                                                        (audit.py)

A row's `xmin` is the low half of its xid. https://www.postgresql.org/docs/current/ddl-system-columns.html
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from psycopg.sql import SQL, Composable, Composed, Literal

from pgsnow.model.plan import TablePlan
from pgsnow.postgres import sql

EPOCH = 2**32
HALF = 2**31


def xid_from(since: int) -> Composed:
    """The 64-bit xid of a row whose xid is in [since, since + 2^32)."""
    return SQL("({} + mod(xmin::text::bigint - {} + {}, {}))").format(
        Literal(since), Literal(since % EPOCH), Literal(EPOCH), Literal(EPOCH)
    )


@dataclass(frozen=True, slots=True)
class Window:
    """Rows written by transactions from `since` on, with a watermark of at least `bound`, not read already."""

    plan: TablePlan
    since: int
    bound: Composable | None
    seen: frozenset[int] = frozenset()

    def condition(self, xmax: Composable) -> Composable:
        """The WHERE condition. xmax: of the snapshot that reads, as SQL."""
        return sql.both(
            [self._not_too_old(), self._in_xids(xmax), self._not_seen(), sql.where_given(self.plan)]
        )

    def _not_too_old(self) -> Composed | None:
        """A NULL says nothing of when the row was written, so it passes. (Also where the catalog said NOT NULL: that
        may have been dropped since, and a planner that knows the constraint drops the term.)"""
        if self.bound is None:
            return None
        column = sql.watermark(self.plan)
        return SQL("({} >= {} or {} is null)").format(column, self.bound, column)

    def _in_xids(self, xmax: Composable) -> Composed:
        return SQL("mod(xmin::text::bigint - {} + {}, {}) < {} - {}").format(
            Literal(self.since % EPOCH), Literal(EPOCH), Literal(EPOCH), xmax, Literal(self.since)
        )

    def _not_seen(self) -> Composed | None:
        if not self.seen:
            return None
        return SQL("{} <> all ({}::bigint[])").format(xid_from(self.since), _array(self.seen))


def _array(values: Iterable[int]) -> Literal:
    return Literal("{" + ",".join(str(value) for value in sorted(values)) + "}")
