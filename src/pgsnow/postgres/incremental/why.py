"""Why a table is read in the mode it is read in, for people."""

from __future__ import annotations

from pgsnow.model.checkpoint import ReadMode
from pgsnow.model.config.sync_config import TableMode
from pgsnow.model.plan import TablePlan
from pgsnow.postgres.incremental.bounds import is_integer
from pgsnow.postgres.incremental.read_mode import is_usable

_WITHOUT = {
    ReadMode.FULL: "mode: full; nothing is sent while the content is the same",
    ReadMode.APPEND: "mode: append; rows that are not there yet are added, nothing is deleted",
}
_BY_COLUMN = {
    ReadMode.WATERMARK: "{} bounds what can have changed, transaction ids tell what did",
    ReadMode.LOOKBACK: "late_rows: lookback, by {}",
    ReadMode.CURSOR: "late_rows: off, by {} alone",
}


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
