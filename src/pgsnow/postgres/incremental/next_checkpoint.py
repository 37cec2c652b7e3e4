"""Pure rules that derive the next checkpoint from a read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from pgsnow.model.checkpoint import (
    MAX_RUNNING,
    MAX_SEEN,
    MAX_TRAIL,
    Checkpoint,
    Horizon,
    Mark,
    ReadMode,
)
from pgsnow.postgres.incremental.sequence import SequenceState
from pgsnow.postgres.incremental.window import UNBOUNDED


@dataclass(frozen=True, slots=True)
class ReadPoint:
    """The point that a probe or a read saw a table at: the read mode, the snapshot's xmin and xmax, the state of an
    integer watermark's sequence in watermark mode, whether a standby answered, the plan's shape, the seconds between
    two audits, and the end of the write-ahead log after the snapshot was taken (as in Position)."""

    mode: ReadMode
    x: int
    xmax: int
    sequence: SequenceState | None = None
    standby: bool = False
    shape: str | None = None
    audit_every: float = 0.0
    lsn: int | None = None

    @property
    def restarted(self) -> bool:
        """The sequence went back since the last read."""
        return self.sequence is not None and self.sequence.restarted


def next_checkpoint(
    before: Checkpoint | None,
    horizon: Horizon,
    point: ReadPoint,
    *,
    full: bool = False,
    seen: Iterable[int] = (),
    last_watermark: str | None = None,
    cursor: tuple[str, ...] | None = None,
    content_hash: str | None = None,
) -> Checkpoint:
    """The checkpoint after everything in the window was read (full: everything there is).

    seen: xids whose rows have been read. last_watermark: None keeps the one before. content_hash: of the content that
    was loaded."""
    past = None if full else before
    low, sequence = next_low(past, horizon, point), point.sequence
    mark = Mark(
        at=horizon.taken_at if sequence is None else sequence.at,
        xmax=point.xmax,
        low=low,
        value=None if sequence is None else sequence.value,
        since=None if horizon.next_xid is None else min(*horizon.running[:1], horizon.next_xid, point.xmax),
        running=horizon.running[:MAX_RUNNING],
    )
    trail = () if past is None or point.restarted else past.trail
    reread = past.reread | past.again if past is not None else frozenset()
    return Checkpoint(
        mode=point.mode,
        identity=horizon.identity,
        x=point.x,
        low=low,
        seen=still_open(seen, point.x),
        trail=with_mark(trail, mark, point.audit_every),
        audit_x=point.x if past is None else past.audit_x,
        audited_at=horizon.taken_at if past is None else past.audited_at,
        cursor=cursor,
        shape=point.shape,
        content_hash=content_hash,
        last_watermark=last_watermark or (past.last_watermark if past else None),
        reread=still_open(reread, mark.first_unseen) if reread else frozenset(),
        position=replace(horizon.position, lsn=point.lsn) if horizon.position else None,
        updates=None if past is None else past.updates,
    )


def next_low(before: Checkpoint | None, horizon: Horizon, point: ReadPoint) -> str:
    """The lower bound for the next read. A prepared transaction's start is not known, but it is not below the bound of
    the read before: rows that it did not see are not either.

    A standby's snapshot lags behind a horizon that its primary gave (a conninfo may name several hosts), as if the
    horizon had been taken after it: it bounds nothing.
    """
    if horizon.standby or point.standby:
        return UNBOUNDED
    if horizon.prepared:
        return UNBOUNDED if before is None or point.restarted else before.low
    return horizon.low if point.sequence is None else point.sequence.low


def still_open(seen: Iterable[int], x: int) -> frozenset[int]:
    """The xids from x on, at most MAX_SEEN. Those below x have left the window for good; dropping any other only costs
    a second read of its rows."""
    return frozenset(sorted({xid for xid in seen if xid >= x}, reverse=True)[:MAX_SEEN])


def bounding_low(checkpoint: Checkpoint) -> str:
    """The `low` that bounds the next read: the newest mark's, which may be a little older than the checkpoint's. So the
    trail has each bound that a read used, and an audit can judge all rows that the bound kept from being read."""
    low, marked = checkpoint.low, checkpoint.trail[-1].low if checkpoint.trail else UNBOUNDED
    if UNBOUNDED in (low, marked):
        return low
    in_order = int if low.lstrip("-").isdigit() else datetime.fromisoformat
    return min(low, marked, key=in_order)


def with_mark(trail: tuple[Mark, ...], mark: Mark, audit_every: float = 0.0) -> tuple[Mark, ...]:
    """The trail with a newer mark. Marks between which no transaction got an xid or ended become one.

    A mark soon after the last one is left out, so that all marks between two audits fit in: half an hour at most, so
    with `audit_every` above a day the trail gets full. Then it keeps every other mark of its older half, and an audit
    may not notice a row that is late by less than the distance of two marks."""
    last = trail[-1] if trail else None
    if last is not None and UNBOUNDED not in (last.low, mark.low) and audit_every:
        passed = datetime.fromisoformat(mark.at) - datetime.fromisoformat(last.at)
        if 0 <= passed.total_seconds() < min(audit_every / (MAX_TRAIL * 3 // 4), 1800):
            return trail
    if last is not None and replace(last, at=mark.at, low=mark.low) == mark:
        # What the sequence has not given since the earlier moment, it had given by then.
        mark = replace(mark, at=last.at if mark.value is not None else mark.at)
        trail = trail[:-1]
    if len(trail) >= MAX_TRAIL:
        half = MAX_TRAIL // 2
        trail = (*trail[:half:2], *trail[half:])
    return (*trail, mark)
