"""Pure rules that derive the next checkpoint from a read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pgsnow.model.checkpoint import MAX_SEEN, MAX_TRAIL, Checkpoint, Horizon, Mark, ReadMode
from pgsnow.postgres.incremental.sequence import SequenceState
from pgsnow.postgres.incremental.window import UNBOUNDED


@dataclass(frozen=True, slots=True)
class ReadPoint:
    """The point that a probe or a read saw a table at: the read mode, the snapshot's xmin and xmax, the state of an
    integer watermark's sequence in watermark mode, whether a standby answered, the plan's shape, and the end of the
    write-ahead log after the snapshot was taken (as in Position)."""

    mode: ReadMode
    x: int
    xmax: int
    sequence: SequenceState | None = None
    standby: bool = False
    shape: str | None = None
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
    low = next_low(past, horizon, point)
    sequence = point.sequence
    mark = (
        Mark(horizon.taken_at, point.xmax, low)
        if sequence is None
        else Mark(sequence.at, point.xmax, low, sequence.value)
    )
    return Checkpoint(
        mode=point.mode,
        identity=horizon.identity,
        x=point.x,
        low=low,
        seen=still_open(seen, point.x),
        trail=with_mark(() if past is None or point.restarted else past.trail, mark),
        audit_x=point.x if past is None else past.audit_x,
        audited_at=horizon.taken_at if past is None else past.audited_at,
        cursor=cursor,
        shape=point.shape,
        content_hash=content_hash,
        last_watermark=last_watermark or (past.last_watermark if past else None),
        position=replace(horizon.position, lsn=point.lsn) if horizon.position else None,
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


def with_mark(trail: Sequence[Mark], mark: Mark) -> tuple[Mark, ...]:
    """The trail with a newer mark. A quiet server's marks become one; a full trail keeps every other mark of its older
    half."""
    last = trail[-1] if trail else None
    if last is not None and last.xmax == mark.xmax and last.value == mark.value:
        # What the sequence has not given since the earlier moment, it had given by then.
        mark = Mark(last.at if mark.value is not None else mark.at, mark.xmax, mark.low, mark.value)
        trail = trail[:-1]
    if len(trail) >= MAX_TRAIL:
        half = MAX_TRAIL // 2
        trail = [*trail[:half:2], *trail[half:]]
    return (*trail, mark)
