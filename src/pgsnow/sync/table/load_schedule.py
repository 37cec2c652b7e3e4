"""When rows that wait in the stage are to be loaded. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from pgsnow.model.config.table_config import TableOptions
from pgsnow.model.deferred_batch import StagedBatch
from pgsnow.sync.table.throttle import MEGABYTE


def is_due(config: TableOptions, batches: Sequence[StagedBatch], staged_at: float, now: float) -> bool:
    """True if these must be loaded in this tick. staged_at: when the first of them was staged; seconds since 1970.

    Time is cut into pieces of `load_every`, the same for all tables, and what was staged in one is due in the next: so
    that tables are loaded in one tick, for which a warehouse is woken once, and not each in one of its own."""
    if not batches:
        return False
    if config.load_every <= 0:
        return True
    return now // config.load_every > staged_at // config.load_every or is_much(config, batches)


def is_much(config: TableOptions, batches: Sequence[StagedBatch]) -> bool:
    """True if there are so many that nobody waits for the time."""
    rows, size = sum(batch.rows for batch in batches), sum(batch.size for batch in batches)
    most = min(config.load_when_rows or config.max_rows_per_load, config.max_rows_per_load)
    too_large = config.load_when_mb is not None and size >= config.load_when_mb * MEGABYTE
    return rows >= most or too_large
