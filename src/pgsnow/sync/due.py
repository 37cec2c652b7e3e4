"""When rows that wait in the stage are to be loaded. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from pgsnow.model.staged import StagedBatch
from pgsnow.model.table_config import TableOptions
from pgsnow.sync.pace import MEGABYTE

SLACK = 0.2
"""Of the interval between two ticks."""


def is_due(config: TableOptions, batches: Sequence[StagedBatch], waited: float, slack: float) -> bool:
    """True if these must be loaded in this tick. waited: seconds since the first was staged. slack: how much earlier
    than `load_every` a tick may come and still be the one meant; beats drift."""
    if not batches:
        return False
    return waited >= config.load_every - slack or is_much(config, batches)


def is_much(config: TableOptions, batches: Sequence[StagedBatch]) -> bool:
    """True if there are so many that nobody waits for the time."""
    rows, size = sum(batch.rows for batch in batches), sum(batch.size for batch in batches)
    most = min(config.load_when_rows or config.max_rows_per_load, config.max_rows_per_load)
    too_large = config.load_when_mb is not None and size >= config.load_when_mb * MEGABYTE
    return rows >= most or too_large
