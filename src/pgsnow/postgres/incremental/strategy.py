"""How a table will be read after this checkpoint, decided in the same way by a probe and by a read."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg.sql import Composable

from pgsnow.model.checkpoint import Checkpoint, Horizon, ReadMode
from pgsnow.model.plan import TablePlan
from pgsnow.postgres.incremental.next_checkpoint import Step
from pgsnow.postgres.incremental.read_mode import mode_of, reason_in_xids, reason_to_read_all
from pgsnow.postgres.incremental.sequence import Feed, Fetch, look_at_feed
from pgsnow.postgres.incremental.window import UNBOUNDED, Window, is_integer, lookback_bound, lower_bound


@dataclass(frozen=True, slots=True)
class ReadStrategy:
    """mode, and why everything must be read (None: `window` will do)."""

    mode: ReadMode
    shape: str
    full_read: str | None
    window: Window | None
    feed: Feed | None = None

    def step(self, x: int, xmax: int, *, standby: bool) -> Step:
        return Step(self.mode, x, xmax, self.feed, standby, self.shape)

    def full_read_at(self, checkpoint: Checkpoint | None, x: int, xmax: int) -> str | None:
        """The same once a snapshot is known."""
        if self.full_read is not None or checkpoint is None:
            return self.full_read
        return None if self.mode is ReadMode.CURSOR else reason_in_xids(checkpoint, x, xmax)


def approach(
    fetch: Fetch,
    plan: TablePlan,
    checkpoint: Checkpoint | None,
    horizon: Horizon,
    *,
    full: bool = False,
    because: str | None = None,
) -> ReadStrategy:
    """full: a person asked for everything, which also gives a table in xmin mode another chance.
    because: why everything must be read that this checkpoint does not tell of.
    fetch: asks Postgres about an integer watermark's sequence; not called for other tables."""
    reason = because or reason_to_read_all(plan, checkpoint, horizon) or ("asked for" if full else None)
    mode = mode_of(plan, None if full else checkpoint)
    feed = None
    if mode is ReadMode.WATERMARK and is_integer(plan):
        feed = look_at_feed(fetch, plan, None if reason else checkpoint, horizon)
        mode = ReadMode.XMIN if feed is None else mode
    if reason is not None or checkpoint is None:
        return ReadStrategy(mode, plan.shape, reason, None, feed)
    bound = _bound(plan, mode, checkpoint, horizon)
    if feed is not None and feed.restarted:
        bound = None  # the sequence has given small values again: by xid alone, this once
    return ReadStrategy(mode, plan.shape, None, Window(plan, checkpoint.x, bound, checkpoint.seen), feed)


def _bound(plan: TablePlan, mode: ReadMode, checkpoint: Checkpoint, horizon: Horizon) -> Composable | None:
    if mode is ReadMode.LOOKBACK:
        return lookback_bound(plan, checkpoint, horizon)
    if mode is not ReadMode.WATERMARK:
        return lower_bound(plan, UNBOUNDED)
    return lower_bound(plan, checkpoint.low, at_most=checkpoint.last_watermark)
