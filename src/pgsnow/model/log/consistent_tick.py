"""One tick whose tables change together in the target (`consistency: tick`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pgsnow.model.table import TargetName

TICKS_TABLE = "PGSNOW_TICKS"


@dataclass(frozen=True, slots=True)
class ConsistentTick:
    """The row of a tick in PGSNOW_TICKS.

    place: any target in the schema that has the table. tick: identifies the tick. lsn: the position in the log whose
    state the tables have; None: they are of one snapshot. source_time: when the newest transaction in it committed, by
    the source's clock. left_out: tables that do not have that state → why. together: False if the tables were loaded
    one by one.
    """

    place: TargetName
    tick: str
    lsn: int | None
    source_time: datetime | None
    left_out: Mapping[str, str] = field(default_factory=dict)
    together: bool = True
