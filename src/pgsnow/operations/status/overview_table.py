"""One table's line of the overview: its state with the reason, its lag, its rows, its last runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from pgsnow.operations.status.table_state import HealthState

if TYPE_CHECKING:
    from pgsnow.operations.status.table_status import TableStatus

SEVERITY = (
    HealthState.FAILED,
    HealthState.DIFFERENT,
    HealthState.STUCK,
    HealthState.UNVERIFIED,
    HealthState.PARTIAL,
    HealthState.NEVER,
    HealthState.RUNNING,
    HealthState.SYNCED,
    HealthState.IDLE,
    HealthState.PAUSED,
    HealthState.OFF,
)
"""States, worst first: the order of the overview's tables."""


@dataclass(frozen=True, slots=True)
class RowCounts:
    """Rows by operation."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    rejected: int = 0

    @property
    def total(self) -> int:
        """Rows that changed in the target, without rejected ones."""
        return self.inserted + self.updated + self.deleted


@dataclass(frozen=True, slots=True)
class StripRun:
    """One of a table's last runs. status: as in sync_logs. rows: inserted, updated and deleted ones together."""

    run_id: str
    status: str
    started_at: datetime
    seconds: float
    rows: int


@dataclass(frozen=True, slots=True)
class Pause:
    """Why a table is paused: by whom, since when, for which reason. All None if it was paused by SQL."""

    by: str | None = None
    at: datetime | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class BackfillProgress:
    """Progress of a backfill. rows, bytes: of the chunks that are loaded. seconds: since it began."""

    chunks: int
    done: int
    rows: int = 0
    bytes: int = 0
    seconds: float = 0.0

    @property
    def share(self) -> float:
        """Loaded chunks, from 0 to 1."""
        return self.done / max(self.chunks, 1)

    @property
    def rows_per_second(self) -> float | None:
        """Rows per second since it began; None: not known yet."""
        return self.rows / self.seconds if self.seconds > 0 and self.done else None

    @property
    def bytes_per_second(self) -> float | None:
        """Bytes per second since it began; None: not known yet."""
        return self.bytes / self.seconds if self.seconds > 0 and self.done else None

    @property
    def left_seconds(self) -> float | None:
        """Seconds until the last chunk is loaded at this rate; None: not known yet."""
        return self.seconds / self.done * (self.chunks - self.done) if self.done and self.seconds else None


@dataclass(frozen=True, slots=True)
class OverviewTable:
    """A table's line.

    state: in one word; why: its reason in a sentence ("" if there is nothing to say); advice: the next step, "" if none
    is needed. behind: its lag is larger than `behind_after` seconds. mode: how changed rows are found, as configured.
    read_mode: how the last run found them. lag_seconds: None if unknown. last_rows, day_rows: rows of the last run that
    loaded any, and of 24 hours. strip: the last runs, at most 20, oldest first. last_error: the first line of the error
    of a failed table. next_attempt: when scheduled runs try a failed table again; None: at the next tick.
    """

    name: str
    target: str
    state: HealthState
    why: str
    advice: str
    mode: str
    read_mode: str | None
    lag_seconds: float | None
    lag_covers: str
    behind: bool
    behind_after: float
    last_run: datetime | None
    last_success: datetime | None
    next_attempt: datetime | None
    last_rows: RowCounts
    day_rows: RowCounts
    strip: tuple[StripRun, ...]
    last_error: str | None
    consecutive_failures: int
    open_rejected: int
    differences: int
    staged_rows: int
    pause: Pause | None
    backfill: BackfillProgress | None

    @property
    def severity(self) -> tuple[int, float, str]:
        """Sorts the worst table first: by state, then by lag."""
        place = SEVERITY.index(self.state)
        if self.behind:
            place = min(place, SEVERITY.index(HealthState.PARTIAL))
        return place, -(self.lag_seconds or 0.0), self.name


def backfill_of(status: TableStatus) -> BackfillProgress | None:
    """Progress of the table's backfill; None: it has none."""
    row = status.row
    if row is None or row.chunks is None:
        return None
    return BackfillProgress(
        row.chunks,
        row.chunks_done or 0,
        row.chunk_rows or 0,
        row.chunk_bytes or 0,
        row.backfill_seconds or 0.0,
    )
