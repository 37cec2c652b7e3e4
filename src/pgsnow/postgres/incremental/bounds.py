"""From a moment to a bound on a table's watermark column, by the column's type, computed in Postgres.

A bound may always be lower than it need be: the xid window trims what it lets through.
"""

from __future__ import annotations

from psycopg.sql import SQL, Composable, Composed, Literal

from pgsnow.model.checkpoint import Checkpoint, Horizon
from pgsnow.model.plan import TablePlan

UNBOUNDED = "-infinity"
INTEGERS = frozenset({"int2", "int4", "int8"})
_UTC = frozenset({"UTC", "Etc/UTC", "GMT", "Etc/GMT", "Zulu", "Universal", "UCT"})


def is_integer(plan: TablePlan) -> bool:
    return plan.watermark is not None and plan.watermark.type_name in INTEGERS


def lower_bound(plan: TablePlan, low: str, *, at_most: str | None = None) -> Composable | None:
    """What the watermark of a row that began at `low` or later is at least; None: anything.

    low: a moment as timestamptz text, from which max_skew is still to be taken; for an integer column, its value.
    at_most: a watermark that the bound is not to be above. With the last one that was read, rows that copy it, whenever
    that is (an import that stamps all it brings alike), are read as well.
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
    """A timestamptz so many seconds earlier."""
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
    """late_rows: lookback. So many seconds (or, for an integer column, units) below the last watermark read.

    A watermark in the future counts as now: one row that is ahead must not hide all others.
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
