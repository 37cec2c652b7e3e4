"""The row versions that an incremental read must read. The invariants that make it lossless, and where each is kept:

I1  A row version that snapshot k does not show has an xid of at least xmin(k): everything below had ended. A
    subtransaction's xid is above its parent's, so it holds for those too.                             (Window.since)
I2  The transaction that wrote it began at the horizon's `low` or later, and so did its now(),
    statement_timestamp() and clock_timestamp().                                                      (horizon.py)
I3  So reading `watermark >= low and xid >= xmin(k)` after snapshot k misses nothing that k missed. Either term alone
    would do: the xid term trims re-reads, the watermark term lets an index serve.              (Window.condition)
    A role with grants on single columns may not read xmin: then the watermark term alone is used, strictly above an
    integer bound, and not below the newest watermark read, as that row would be read in each tick.
I4  Xids are comparable on one server and timeline only, and their low 32 bits order them over a distance of less
    than 2^31 only; otherwise everything is read. A server that was restored to an older state gives xids again that
    were read: after each restart, rows as new as the last read are read whatever their xid.         (strategy.py)
I5  Once (xmin, low) are taken before the first page, later pages may use snapshots of their own.
                                                                      (read/keyset_reader.py, read/chunk_reader.py)
I6  I2 fails for watermarks that the application supplies, for logical replicas and for clocks that step back. max_skew
    widens `low`, and so does the newest watermark read, which others may copy; audits find what that does not cover.
                                                                                                        (audit.py)

A bound may be lower than necessary: the xid term filters out the additional rows.

A row's `xmin` is the low half of its xid. https://www.postgresql.org/docs/current/ddl-system-columns.html
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg.sql import SQL, Composable, Composed, Literal

from pgsnow.model.checkpoint import Checkpoint, Horizon
from pgsnow.model.plan import TablePlan
from pgsnow.postgres import sql

EPOCH = 2**32
HALF = 2**31
UNBOUNDED = "-infinity"
"""A lower bound that every row is above."""
INTEGERS = frozenset({"int2", "int4", "int8"})
_UTC = frozenset({"UTC", "Etc/UTC", "GMT", "Etc/GMT", "Zulu", "Universal", "UCT"})


@dataclass(frozen=True, slots=True)
class Window:
    """Rows written by transactions from `since` on, with a watermark of at least `bound` (None: any), and whose xid is
    not in `seen`: those were read already. Rows with an xid in `again` too, whatever their watermark. always_from: rows
    with a watermark from here on are read whatever their xid (None: none), which finds what was written under xids that
    a restored server has given again. nulls: so are those without a watermark."""

    plan: TablePlan
    since: int
    bound: Composable | None
    seen: frozenset[int] = frozenset()
    again: frozenset[int] = frozenset()
    always_from: Composable | None = None
    nulls: bool = False

    @property
    def xid(self) -> Composed:
        """An SQL expression: the 64-bit xid of a row that the window shows; for others, one that is too high."""
        first = min(self.since, *self.again) if self.again else self.since
        return SQL("({} + mod(xmin::text::bigint - {} + {}, {}))").format(
            Literal(first), Literal(first % EPOCH), Literal(EPOCH), Literal(EPOCH)
        )

    def condition(self, xmax: Composable) -> Composable:
        """The WHERE condition, with the table's own `where`. xmax: of the snapshot that reads, as SQL."""
        in_xids = not_too_old = not_seen = None
        if self.plan.has_xmin:
            in_xids = SQL("mod(xmin::text::bigint - {} + {}, {}) < {} - {}").format(
                Literal(self.since % EPOCH), Literal(EPOCH), Literal(EPOCH), xmax, Literal(self.since)
            )
        if self.bound is not None and (self.plan.has_xmin or not self.again):
            # A NULL does not show when the row was written, so it passes. (Also where the catalog said NOT NULL: that
            # may have been dropped since, and a planner that knows the constraint drops the term.)
            column = sql.watermark(self.plan)
            since = SQL(">=" if in_xids is not None or not is_integer(self.plan) else ">")
            not_too_old = SQL("({} {} {} or {} is null)").format(column, since, self.bound, column)
        if self.seen and in_xids is not None:
            seen = Literal("{" + ",".join(map(str, sorted(self.seen))) + "}")
            not_seen = SQL("{} <> all ({}::bigint[])").format(self.xid, seen)
        new: Composable = sql.both([in_xids, not_seen])
        if self.always_from is not None and in_xids is not None:
            column = sql.watermark(self.plan)
            null = SQL(" or {} is null").format(column) if self.nulls else SQL("")
            new = SQL("({} or {} >= {}{})").format(new, column, self.always_from, null)
        condition = sql.both([not_too_old, new])
        if self.again and self.plan.has_xmin:
            again = Literal("{" + ",".join(map(str, sorted(self.again))) + "}")
            condition = SQL("(({}) or {} = any ({}::bigint[]))").format(condition, self.xid, again)
        return sql.both([condition, sql.where_given(self.plan)])


def is_integer(plan: TablePlan) -> bool:
    """True if the watermark is an integer column."""
    return plan.watermark is not None and plan.watermark.type_name in INTEGERS


def lower_bound(plan: TablePlan, low: str, *, at_most: str | None = None) -> Composable | None:
    """The lowest watermark that a row whose transaction began at `low` or later can have; None: any.

    low: a moment as timestamptz text, from which max_skew is still to be subtracted; for an integer column, its value.
    at_most: a watermark that the bound must not be above. With the last one that was read, rows that copy it later (an
    import that stamps all its rows alike) are read as well.
    """
    if low == UNBOUNDED:
        return None
    if is_integer(plan):
        return Literal(int(low) if at_most is None else min(int(low), int(at_most)))
    bound = _in_column_type(plan, before(low, plan.config.max_skew))
    if at_most is None:
        return bound
    kind = SQL(plan.watermark_column.type_name)
    return SQL("least({}, {}::{})").format(bound, Literal(at_most), kind)


def before(moment: str, seconds: float) -> Composed:
    """A timestamptz that is `seconds` before the moment (timestamptz text)."""
    return SQL("({}::timestamptz - make_interval(secs => {}))").format(Literal(moment), Literal(seconds))


def _in_column_type(plan: TablePlan, moment: Composable) -> Composable:
    kind = plan.watermark_column.type_name
    if kind == "timestamptz":
        return moment
    local = _local(plan, moment)
    # A date is its writer's day, which may have begun a day before the moment.
    return SQL("({}::date - 1)").format(local) if kind == "date" else local


def _local(plan: TablePlan, moment: Composable) -> Composed:
    """The earliest local time that a writer can have had at the moment.

    With a zone: daylight saving ends by going back an hour, and no zone has gone back by as much as three in the
    age of computers. Without: sessions may be in any zone from UTC-12 to UTC+14, so 26 hours below UTC is safe.
    """
    zone = plan.config.watermark_timezone
    hours = 26 if zone is None else 0 if zone in _UTC else 3
    return SQL("(({} at time zone {}) - make_interval(hours => {}))").format(
        moment, Literal(zone or "UTC"), Literal(hours)
    )


def lookback_bound(plan: TablePlan, checkpoint: Checkpoint, horizon: Horizon) -> Composable | None:
    """The bound of `late_rows: lookback`: `lookback` seconds (for an integer column: units) below the last watermark
    that was read; None if there is none.

    A watermark in the future counts as now: one such row must not hide all others.
    """
    last = checkpoint.last_watermark
    if last is None:
        return None
    if is_integer(plan):
        return Literal(int(last) - int(plan.config.lookback))
    type_name = plan.watermark_column.type_name
    kind = SQL(type_name)
    now: Composable = SQL("{}::timestamptz").format(Literal(horizon.taken_at))
    if type_name != "timestamptz":
        now = SQL("({} at time zone {})").format(now, Literal(plan.config.watermark_timezone or "UTC"))
    return SQL("(least({}::{}, {}::{}) - make_interval(secs => {}))::{}").format(
        Literal(last), kind, now, kind, Literal(plan.config.lookback), kind
    )
