"""From one checkpoint to the next: pure rules, no questions asked of the server."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pgsnow.model.checkpoint import MAX_SEEN, MAX_TRAIL, Checkpoint, Horizon, Mark, ReadMode
from pgsnow.postgres.incremental.sequence import Feed
from pgsnow.postgres.incremental.window import UNBOUNDED


@dataclass(frozen=True, slots=True)
class Step:
    """What one look at a table learnt: the mode it was done in, its snapshot's xmin and xmax, for an integer watermark
    in watermark mode its sequence, whether it was a standby that answered, and the plan's shape."""

    mode: ReadMode
    x: int
    xmax: int
    feed: Feed | None = None
    standby: bool = False
    shape: str | None = None


def advanced(
    before: Checkpoint | None,
    horizon: Horizon,
    step: Step,
    *,
    full: bool = False,
    seen: Iterable[int] = (),
    last_watermark: str | None = None,
    cursor: tuple[str, ...] | None = None,
    digest: str | None = None,
) -> Checkpoint:
    """The checkpoint after a look that read everything in its window (full: everything there is).

    seen: xids whose rows have been read; last_watermark: None keeps the one before. digest: of the content loaded.
    """
    past = None if full else before
    low = next_low(past, horizon, step)
    return Checkpoint(
        mode=step.mode,
        identity=horizon.identity,
        x=step.x,
        low=low,
        seen=still_open(seen, step.x),
        trail=with_mark(_trail(past, step), _mark(horizon, step, low)),
        audit_x=step.x if past is None else past.audit_x,
        audited_at=horizon.taken_at if past is None else past.audited_at,
        cursor=cursor,
        shape=step.shape,
        digest=digest,
        last_watermark=last_watermark or (past.last_watermark if past else None),
    )


def next_low(before: Checkpoint | None, horizon: Horizon, step: Step) -> str:
    """The lower bound for the next read. A prepared transaction's start is not known, but it is not below the
    bound of the read before: whatever that did not see is not.

    A standby's snapshot lags behind a horizon that its primary gave (a conninfo may name several hosts), as if the
    horizon had been taken after it: it bounds nothing.
    """
    if horizon.standby or step.standby:
        return UNBOUNDED
    if horizon.prepared:
        return UNBOUNDED if before is None or _restarted(step) else before.low
    return horizon.low if step.feed is None else step.feed.low


def still_open(seen: Iterable[int], x: int) -> frozenset[int]:
    """Xids below x have left the window for good. Dropping any other costs a re-read only, so there is a cap."""
    return frozenset(sorted({xid for xid in seen if xid >= x}, reverse=True)[:MAX_SEEN])


def with_mark(trail: Sequence[Mark], mark: Mark) -> tuple[Mark, ...]:
    """The trail with a newer mark. A quiet server's marks are one; a full trail keeps every other of its older half."""
    last = trail[-1] if trail else None
    if last is not None and last.xmax == mark.xmax and last.value == mark.value:
        # What the sequence has not given since the earlier moment, it had given by then.
        mark = Mark(last.at if mark.value is not None else mark.at, mark.xmax, mark.low, mark.value)
        trail = trail[:-1]
    if len(trail) >= MAX_TRAIL:
        half = MAX_TRAIL // 2
        trail = [*trail[:half:2], *trail[half:]]
    return (*trail, mark)


def _mark(horizon: Horizon, step: Step, low: str) -> Mark:
    if step.feed is None:
        return Mark(horizon.taken_at, step.xmax, low)
    return Mark(step.feed.at, step.xmax, low, step.feed.value)


def _trail(before: Checkpoint | None, step: Step) -> tuple[Mark, ...]:
    return () if before is None or _restarted(step) else before.trail


def _restarted(step: Step) -> bool:
    return step.feed is not None and step.feed.restarted
