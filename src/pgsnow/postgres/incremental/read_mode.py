"""How a table is read, and when everything must be read (I4)."""

from __future__ import annotations

from pgsnow.model.checkpoint import Checkpoint, Horizon, ReadMode
from pgsnow.model.config.sync_config import LateRows, TableMode
from pgsnow.model.plan import TablePlan
from pgsnow.postgres.incremental.window import HALF, is_integer

_MODES = {
    LateRows.LOSSLESS: (ReadMode.WATERMARK, ReadMode.XMIN),
    LateRows.LOOKBACK: (ReadMode.LOOKBACK,),
    LateRows.OFF: (ReadMode.CURSOR,),
}
_LOSSLESS = _MODES[LateRows.LOSSLESS]
_OTHER_MODES = {
    TableMode.XMIN: (ReadMode.XMIN, ReadMode.WATERMARK),
    TableMode.FULL: (ReadMode.FULL,),
    TableMode.APPEND: (ReadMode.APPEND,),
}
"""What a table's `mode` reads in, and what else it can go on from: a lossless checkpoint has missed nothing."""


CONTENT_CHANGED = "the content changed"

_WITHOUT = {
    ReadMode.FULL: "mode: full; nothing is sent while the content is the same",
    ReadMode.APPEND: "mode: append; rows that are not there yet are added, nothing is deleted",
}
_BY_COLUMN = {
    ReadMode.WATERMARK: "{} bounds what can have changed, transaction ids tell what did",
    ReadMode.LOOKBACK: "late_rows: lookback, by {}",
    ReadMode.CURSOR: "late_rows: off, by {} alone",
}


def _modes(plan: TablePlan) -> tuple[ReadMode, ...]:
    """The mode that is wished for, then others whose checkpoints it goes on from."""
    return _OTHER_MODES.get(plan.config.mode) or _MODES[plan.config.late_rows]


def mode_of(plan: TablePlan, checkpoint: Checkpoint | None) -> ReadMode:
    """The mode to read in. A table that an audit moved to xmin mode stays there as long
    as its checkpoint is followed."""
    wanted = _modes(plan)
    if wanted == _LOSSLESS and (
        not is_usable(plan) or (checkpoint is not None and checkpoint.mode is ReadMode.XMIN)
    ):
        return ReadMode.XMIN
    return wanted[0]


def is_usable(plan: TablePlan) -> bool:
    """Can a bound on the watermark be known? An integer says when it was given only if one sequence gives it, one
    at a time (CACHE 1: a session keeps no stock of older values) and upward."""
    if not is_integer(plan):
        return True
    column = plan.watermark_column.name
    feeds = [(cache, step) for name, cache, step in plan.source.sequence_cache if name == column]
    return len(feeds) == 1 and feeds[0][0] == 1 and feeds[0][1] > 0


def reason_to_read_all(plan: TablePlan, checkpoint: Checkpoint | None, horizon: Horizon) -> str | None:
    """Why an incremental read cannot follow this checkpoint, as far as is known before a snapshot; or None."""
    if checkpoint is None:
        return "first read"
    if checkpoint.identity.system_identifier != horizon.identity.system_identifier:
        return "the source is another server"
    if checkpoint.identity.timeline != horizon.identity.timeline:
        return "the source's timeline changed (failover or restore)"
    if checkpoint.shape not in (None, plan.shape, plan.older_shape):
        return "the configuration changed"
    if checkpoint.mode not in _modes(plan) and not _only_narrower(plan, checkpoint):
        if plan.config.mode is not TableMode.WATERMARK:
            return f"mode is now {plan.config.mode}"
        return f"late_rows is now {plan.config.late_rows}"
    if checkpoint.mode is ReadMode.CURSOR and checkpoint.cursor is None:
        return "the first read did not get to its first page"
    return None


def _only_narrower(plan: TablePlan, checkpoint: Checkpoint) -> bool:
    """A lossless checkpoint has missed nothing, so a lookback may go on from it."""
    return _modes(plan) == _MODES[LateRows.LOOKBACK] and checkpoint.mode in _LOSSLESS


def reason_in_xids(checkpoint: Checkpoint, x: int, xmax: int) -> str | None:
    """The same, once a snapshot's xmin and xmax are known."""
    if x < checkpoint.x:
        return "transaction ids went back (another server, or an older state of this one)"
    if xmax - checkpoint.x >= HALF:
        return "more than 2^31 transactions since the last read"
    return None


def why_mode(plan: TablePlan, mode: ReadMode) -> str:
    """One sentence without a full stop. mode: what a probe has decided."""
    if mode in _WITHOUT:
        return _WITHOUT[mode]
    name = plan.watermark.name if plan.watermark is not None else None
    if mode is not ReadMode.XMIN:
        return _BY_COLUMN[mode].format(name)
    return _why_xmin(plan, name)


def _why_xmin(plan: TablePlan, watermark: str | None) -> str:
    """As probe and read decide it: pgsnow.postgres.incremental.strategy."""
    if plan.config.mode is TableMode.XMIN or watermark is None:
        return "mode: xmin; transaction ids alone tell what has changed, so each tick looks at every row"
    if not is_usable(plan):
        return f"by transaction id: no single sequence gives {watermark} upward, one value at a time"
    if is_integer(plan):
        return f"by transaction id: the sequence of {watermark} cannot be looked at, or an audit did not trust it"
    return f"by transaction id: an audit found rows that {watermark} does not tell of"
