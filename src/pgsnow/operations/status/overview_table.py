"""One table's line of the overview: its state with the reason, its lag, its rows, its last runs."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pgsnow.ledger.errors import unless_missing
from pgsnow.ledger.history.rows import RecentRun
from pgsnow.model.comparison.certificate import Verification
from pgsnow.model.sentences import first_line
from pgsnow.operations.status.budget import slowed_record
from pgsnow.operations.status.table_state import GRACE_SECONDS, PATIENCE, HealthState

if TYPE_CHECKING:
    from pgsnow.ledger.history.rows import HistoryRow
    from pgsnow.ledger.ledger import Ledger
    from pgsnow.model.config.sync_config import SyncConfig
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
STRIP = 20
"""Runs of a table that its line shows."""


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

    def plus(self, other: RowCounts) -> RowCounts:
        """Both together."""
        return RowCounts(
            self.inserted + other.inserted,
            self.updated + other.updated,
            self.deleted + other.deleted,
            self.rejected + other.rejected,
        )


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
    is needed. behind: no run has seen it for longer than its schedule explains, or its lag is larger than
    `behind_after` seconds. mode: how changed rows are found, as configured. read_mode: how the last run found them.
    lag_seconds: None if unknown. rows_processed: of the last run, for a table without a history. day_rows: rows of 24
    hours. last_error: the first line of the error of a failed table. next_attempt: when scheduled runs try a failed
    table again; None: at the next tick. verified_at: end of the newest comparison with the source. slowed: how
    the budget slows its loads (slowed_record); None: it does not. strip: the last
    runs, at most 20, oldest first; only `with_strips` sets it, because a page shows those of few tables. history: as
    the ledger has it.
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
    rows_processed: int
    day_rows: RowCounts
    last_error: str | None
    consecutive_failures: int
    open_rejected: int
    differences: int
    staged_rows: int
    pause: Pause | None
    backfill: BackfillProgress | None
    verified_at: datetime | None = None
    slowed: Mapping[str, Any] | None = None
    strip: tuple[StripRun, ...] = ()
    history: HistoryRow | None = field(default=None, repr=False)

    @property
    def last_rows(self) -> RowCounts:
        """Rows of the last run. Computed at each call, see `HistoryRow.newest`."""
        run = self.history.newest if self.history else None
        if run is None:
            return RowCounts(updated=self.rows_processed)
        return RowCounts(run.rows_inserted, run.rows_updated, run.rows_deleted)

    @property
    def counts(self) -> bool:
        """True if its state counts for the word of the whole: it is neither paused nor disabled."""
        return self.state not in (HealthState.PAUSED, HealthState.OFF)

    @property
    def severity(self) -> tuple[int, float, str]:
        """Sorts the worst table first: by state, and tables that are behind by their lag. Lags of the others differ by
        milliseconds, by which their order would change all the time."""
        place = SEVERITY.index(self.state)
        if self.behind:
            place = min(place, SEVERITY.index(HealthState.PARTIAL))
        return place, -(self.lag_seconds or 0.0) // 60 if self.behind else 0.0, self.name


def table_line(config: SyncConfig, status: TableStatus, history: HistoryRow | None) -> OverviewTable:
    """The line of a table. history: None if it never ran."""
    row, table, lag, state = status.row, status.config, status.lag, status.health.state
    late_after = _behind_after(config, status)
    late = lag.seconds is not None and lag.seconds > late_after
    verification = Verification.from_json(row.verification if row else None)
    newest = verification.newest
    return OverviewTable(
        name=table.name,
        target=(row and row.target_table) or table.target,
        state=state,
        why=status.why,
        advice=_advice(table.name, state),
        mode=str(table.mode),
        read_mode=row.read_mode if row else None,
        lag_seconds=lag.seconds,
        lag_covers=lag.covers,
        behind=state not in (HealthState.PAUSED, HealthState.OFF) and (late or state is HealthState.STUCK),
        behind_after=late_after,
        last_run=_utc(row.last_run if row else None),
        last_success=_utc(row.last_success if row else None),
        next_attempt=_utc(row.next_attempt if row else None),
        rows_processed=row.rows_processed if row else 0,
        day_rows=_day_rows(history),
        last_error=first_line(row.last_error) if row and state is HealthState.FAILED else None,
        consecutive_failures=row.consecutive_failures if row else 0,
        open_rejected=row.open_errors if row else 0,
        differences=verification.differences.total if verification.differences else 0,
        staged_rows=row.staged_rows if row else 0,
        pause=Pause(row.paused_by, row.paused_at, row.paused_reason) if row and row.paused else None,
        backfill=backfill_of(status),
        verified_at=datetime.fromisoformat(newest.ended_at) if newest else None,
        slowed=slowed_record(status.pace),
        history=history,
    )


def with_strips(ledger: Ledger, tables: Sequence[OverviewTable]) -> list[OverviewTable]:
    """These tables with their last runs."""
    names = [table.name for table in tables]
    recent = unless_missing(lambda: ledger.history.recent(names), dict[str, tuple[RecentRun, ...]]())
    return [replace(table, strip=_strip(recent.get(table.name, ()))) for table in tables]


def _strip(runs: Sequence[RecentRun]) -> tuple[StripRun, ...]:
    return tuple(
        StripRun(run.run_id, run.status, run.started_at, run.seconds, run.rows)
        for run in reversed(runs[:STRIP])
    )


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


def _behind_after(config: SyncConfig, status: TableStatus) -> float:
    """The lag, in seconds, above which a table is behind: what its schedule, its deferred loads and, where only an
    audit finds updates, its audits explain."""
    table = status.config
    load_every = table.load_every
    if status.pace is not None:
        load_every = max(load_every, status.pace.accepted_wait(table.max_lag))
    waits = PATIENCE * max(config.sync_interval_seconds, table.every) + load_every + GRACE_SECONDS
    return waits + (table.audit_every if status.lag.why else 0.0)


def _advice(name: str, state: HealthState) -> str:
    """The next step for a table in this state, "" if none is needed."""
    name = shlex.quote(name)
    match state:
        case HealthState.FAILED:
            return f"Fix the cause; `pgsnow run --select {name}` then tries it at once."
        case HealthState.DIFFERENT:
            return f"`pgsnow repair {name}` corrects them."
        case HealthState.STUCK:
            return f"`pgsnow logs {name}` shows its runs; does a worker take tasks of its queue?"
        case HealthState.UNVERIFIED:
            return f"`pgsnow verify --select {name}` compares it with its source."
        case HealthState.PARTIAL:
            return f"`pgsnow errors list --table {name}` shows the rows; fix the cause, then replay them."
        case HealthState.PAUSED:
            return f"`pgsnow resume {name}` continues it."
    return ""


def _day_rows(history: HistoryRow | None) -> RowCounts:
    if history is None:
        return RowCounts()
    day = history.day
    return RowCounts(day.rows_inserted, day.rows_updated, day.rows_deleted, day.rows_rejected)


def _utc(moment: datetime | None) -> datetime | None:
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)
