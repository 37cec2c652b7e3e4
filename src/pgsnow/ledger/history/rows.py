"""Rows of the history, as the status page, the metrics and the commands read them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over runs of one table."""

    runs: Mapping[str, int] = field(default_factory=dict)
    """Status → number of runs; statuses without a run are left out."""
    rows_read: int = 0
    rows_inserted: int = 0
    rows_updated: int = 0
    rows_deleted: int = 0
    rows_rejected: int = 0
    bytes_staged: int = 0
    seconds: float = 0.0
    """Sum of the runs' durations."""
    phases: Mapping[str, float] = field(default_factory=dict)
    """Phase → seconds. Only counters have them."""
    statements: int = 0
    """Statements sent to Snowflake."""
    warehouse_seconds: float = 0.0
    """Seconds of those of them that need a warehouse."""
    credits: float = 0.0
    """Estimated credits."""

    @property
    def rows(self) -> int:
        """Rows inserted, updated and deleted."""
        return self.rows_inserted + self.rows_updated + self.rows_deleted


class RecentRun(NamedTuple):
    """One of the newest runs of a table, in short."""

    run_id: str
    status: str
    started_at: datetime
    seconds: float
    rows_inserted: int = 0
    rows_updated: int = 0
    rows_deleted: int = 0

    @property
    def rows(self) -> int:
        """Rows inserted, updated and deleted."""
        return self.rows_inserted + self.rows_updated + self.rows_deleted


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One table in the overview: its newest run, and its totals of the last 24 hours."""

    source_table: str
    stored_run: str | None = None
    """The newest run as the ledger stores it: JSON."""
    day: Totals = field(default_factory=Totals)
    last_ok: datetime | None = None
    """When the last run that loaded rows (ok or partial) ended; None: there was none."""

    @property
    def newest(self) -> RecentRun | None:
        """The newest run. Read from JSON at each call: a page shows those of few tables."""
        return next(iter(recent_runs(f"[{self.stored_run or ''}]")), None)


def recent_runs(stored: str) -> tuple[RecentRun, ...]:
    """The runs of this JSON; none if it was edited and cannot be read."""
    with suppress(TypeError, ValueError, OverflowError, OSError):
        return tuple(
            RecentRun(run_id, status, datetime.fromtimestamp(at, UTC), seconds, *rows)
            for run_id, status, at, seconds, *rows in json.loads(stored)
        )
    return ()


@dataclass(frozen=True, slots=True)
class HourRow:
    """Runs of one table, or of all, that ended within one hour (UTC). Its totals have no phases."""

    source_table: str | None
    """None: all tables."""
    hour: datetime
    """Begin of the hour."""
    totals: Totals
    worst_lag: float | None = None
    """Largest lag in seconds, as it was just before or after a run; None: not known."""


@dataclass(frozen=True, slots=True)
class LagPoint:
    """The lag at the end of one run."""

    at: datetime
    """End of the run."""
    lag_seconds: float | None
    """Lag after the run; None: not known (a run of an earlier version, or nothing was loaded yet)."""
    lag_before: float | None
    """Lag just before its changes were loaded: the same moment, counted from what the previous run had loaded."""
    status: str
    rows_inserted: int
    rows_updated: int
    rows_deleted: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Cursor:
    """Position in a list of runs, newest first: the run after which the next page begins."""

    started_at: datetime
    run_id: str
    source_table: str

    def to_text(self) -> str:
        """The position as one text for a URL."""
        return f"{self.started_at.timestamp():.6f}~{self.run_id}~{self.source_table}"

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The inverse of `to_text`. Raises ValueError."""
        seconds, run_id, table = text.split("~", 2)
        try:
            return cls(datetime.fromtimestamp(float(seconds), UTC), run_id, table)
        except (OverflowError, OSError) as error:
            raise ValueError("no moment") from error


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run of one table: a row of sync_logs."""

    run_id: str
    source_table: str
    target_table: str | None
    started_at: datetime
    ended_at: datetime
    seconds: float
    status: str
    phases: Mapping[str, float]
    rows_read: int
    rows_rejected: int
    rows_dropped: int
    rows_inserted: int
    rows_updated: int
    rows_deleted: int
    ranges_compared: int
    sweep_seconds: float
    bytes_staged: int
    load_units: int
    query_ids: tuple[str, ...]
    full_read: str | None
    events: tuple[str, ...]
    error: str | None
    error_type: str | None
    advice: str | None
    last_watermark: str | None
    fence: int
    applied_until: datetime | None
    """Every change committed before this time was in Snowflake after the run; None: not known."""
    lag_seconds: float | None
    """The lag after the run."""
    requested_by: str | None
    """schedule, command, or `request N`; None: a run of an earlier version."""
    statement_count: int
    logins: int
    warehouse_seconds: float
    credits: float
    statements: tuple[Mapping[str, Any], ...]
    """The run's statements in order: kind, query_id, started_at, seconds, rows, warehouse, failed."""

    @property
    def cursor(self) -> Cursor:
        """The position of this run in a list of runs."""
        return Cursor(self.started_at, self.run_id, self.source_table)


@dataclass(frozen=True, slots=True)
class EventRow:
    """One noteworthy event of a run: a schema change, a full read and why, an audit, a sweep, DDL by `pgsnow apply`."""

    source_table: str
    run_id: str
    at: datetime
    """Start of the run."""
    text: str
    status: str
    """How the run ended."""
    is_full_read: bool = False
    """True if the text is the reason why everything was read."""

    @property
    def cursor(self) -> Cursor:
        """The position of its run in a list of runs."""
        return Cursor(self.at, self.run_id, self.source_table)


@dataclass(frozen=True, slots=True)
class CounterRow:
    """Totals of one table since it was first synced. They never decrease, whatever is deleted from sync_logs."""

    source_table: str
    totals: Totals
    since: datetime | None = None
    """When counting began."""
