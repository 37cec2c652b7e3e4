"""Decides when staged batches are loaded. Pure."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pgsnow.model.config.table_config import TableOptions
from pgsnow.model.deferred_batch import StagedBatch
from pgsnow.sync.table.throttle import MEGABYTE

NEVER = sys.maxsize
"""`load_when_rows` of a table that a budget slows: however much is staged, it is not loaded before it is due."""


def is_due(config: TableOptions, batches: Sequence[StagedBatch], staged_at: float, now: float) -> bool:
    """True if these batches must be loaded in this tick. staged_at: when the first of them was staged, in seconds
    since 1970.

    Time is divided into intervals of `load_every`, the same for all tables; batches staged in one interval are due in
    the next one. So all tables are loaded in the same tick, and the warehouse is resumed once.
    """
    if not batches:
        return False
    if config.load_every <= 0:
        return True
    return now // config.load_every > staged_at // config.load_every or is_much(config, batches)


def is_much(config: TableOptions, batches: Sequence[StagedBatch]) -> bool:
    """True if the batches have reached `load_when_rows` or `load_when_mb`, and are loaded before they are due."""
    if config.load_when_rows == NEVER:
        return False
    rows, size = sum(batch.rows for batch in batches), sum(batch.size for batch in batches)
    most = min(config.load_when_rows or config.max_rows_per_load, config.max_rows_per_load)
    too_large = config.load_when_mb is not None and size >= config.load_when_mb * MEGABYTE
    return rows >= most or too_large


def may_be_much(config: TableOptions, batches: Sequence[StagedBatch], rows: int) -> bool:
    """True if these batches and so many rows that were just read may be much together. The size of the rows is not
    known yet: it is estimated by that of the batches; without any, it may be much."""
    if config.load_when_rows == NEVER:
        return False
    before = sum(batch.rows for batch in batches)
    if before + rows >= min(config.load_when_rows or config.max_rows_per_load, config.max_rows_per_load):
        return True
    if config.load_when_mb is None or not before:
        return config.load_when_mb is not None
    size = sum(batch.size for batch in batches)
    return size * (before + rows) >= config.load_when_mb * MEGABYTE * before
