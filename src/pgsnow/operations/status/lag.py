"""The lag of a table, and the changes that it counts: never more than what the read mode guarantees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgsnow.model.checkpoint import ReadMode
from pgsnow.model.discovery.watermark_choice import suggests_updates
from pgsnow.model.duration import format_duration

if TYPE_CHECKING:
    from pgsnow.ledger.rows import WatermarkRow
    from pgsnow.model.config.sync_config import TableConfig


@dataclass(frozen=True, slots=True)
class Lag:
    """seconds: the lag (None: unknown). read_seconds: the same, but counting staged changes too. covers: the changes
    that it counts; '' means all. why: the reason why it is larger than the time since the last tick, or ''."""

    seconds: float | None = None
    read_seconds: float | None = None
    covers: str = ""
    why: str = ""


def lag_of(config: TableConfig, row: WatermarkRow | None) -> Lag:
    """The lag of a table with this row (None: it never ran).

    A watermark that is set only at insert shows no update, so the lag counts from the last audit, which looks for them.
    Of a column whose name says that updates move it, that is taken as true, and `covers` says so.
    """
    if row is None:
        return Lag()
    found = Lag(row.lag_seconds, row.read_lag_seconds)
    column = config.watermark_column
    if column is None or row.read_mode is None:
        return found
    moving = f"changes that move {column}"
    if row.read_mode == ReadMode.LOOKBACK:
        return Lag(
            found.seconds,
            found.read_seconds,
            f"{moving} and commit within {format_duration(config.lookback)}",
        )
    if row.read_mode == ReadMode.CURSOR:
        return Lag(found.seconds, found.read_seconds, f"{moving} and commit in its order")
    if row.read_mode != ReadMode.WATERMARK:
        return found
    if row.is_integer or not suggests_updates(column):
        return _since_the_audit(config, row)
    every = config.audit_every
    others = f"found by the audit within {format_duration(every)}" if every > 0 else "never found"
    return Lag(found.seconds, found.read_seconds, f"{moving}; others are {others}")


def _since_the_audit(config: TableConfig, row: WatermarkRow) -> Lag:
    column, audited = config.watermark_column, row.audit_seconds
    if config.audit_every <= 0 or audited is None:
        return Lag(why=f"updates do not move {column}, and no audit looks for them: write `mode: xmin`")
    return Lag(
        max(audited, row.lag_seconds or 0.0),
        max(audited, row.read_lag_seconds or 0.0),
        why=f"updates do not move {column}, so the lag counts from the last audit",
    )
