"""Why a table is read in the mode it is read in, for people."""

from __future__ import annotations

from pgsnow.model.checkpoint import Checkpoint, ReadMode
from pgsnow.model.plan import TablePlan
from pgsnow.postgres.bounds import is_integer
from pgsnow.postgres.reason import is_usable


def why_mode(plan: TablePlan, mode: ReadMode, checkpoint: Checkpoint | None) -> str:
    """One sentence without a full stop."""
    if mode is ReadMode.XMIN:
        return _why_xmin(plan, checkpoint)
    name = plan.watermark.name
    return {
        ReadMode.WATERMARK: f"{name} bounds what can have changed, transaction ids tell what did",
        ReadMode.LOOKBACK: f"late_rows: lookback, by {name}",
        ReadMode.CURSOR: f"late_rows: off, by {name} alone",
    }[mode]


def _why_xmin(plan: TablePlan, checkpoint: Checkpoint | None) -> str:
    name = plan.watermark.name
    if not is_usable(plan):
        return f"by transaction id: no single sequence gives {name} upward, one value at a time"
    if checkpoint is not None and checkpoint.mode is ReadMode.XMIN and not is_integer(plan):
        return f"by transaction id: an audit found rows that {name} does not tell"
    return f"by transaction id: the sequence of {name} cannot be followed"
