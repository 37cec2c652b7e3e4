"""State of a table in one word, from its row in the ledger. 'No changes' and 'stuck' are different states."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from pgsnow.model.comparison.certificate import Verification
from pgsnow.model.duration import approximate_duration
from pgsnow.model.report import Status
from pgsnow.model.sentences import counted, first_line

if TYPE_CHECKING:
    from pgsnow.ledger.rows import WatermarkRow

PATIENCE = 3.0
"""Ticks without a run after which a table is stuck."""
GRACE_SECONDS = 30.0
"""Added to PATIENCE, so that a slow load at a short interval does not look stuck."""


class HealthState(StrEnum):
    """State of a table, in one word."""

    NEVER = "never-run"
    RUNNING = "running"
    SYNCED = "synced"
    """The last tick loaded rows."""
    IDLE = "no-changes"
    """The last tick ran in time, and there was nothing to load."""
    PARTIAL = "rows-refused"
    """Loaded, but some rows were rejected."""
    UNVERIFIED = "unverified"
    """The source has lost rows that were loaded; until a full refresh or a verify, the target may hold them."""
    DIFFERENT = "different"
    """A comparison has found differences that are not repaired."""
    FAILED = "failed"
    STUCK = "stuck"
    """Nothing has run for longer than PATIENCE ticks; probably the schedule or the worker is not running."""
    PAUSED = "paused"
    """A person has paused it; no run reads it."""
    OFF = "off"


@dataclass(frozen=True, slots=True)
class TableHealth:
    """A table's state, and its reason in one line ('' if there is nothing to say)."""

    state: HealthState
    why: str = ""


def health_of(
    row: WatermarkRow | None, *, interval: float, now: datetime, enabled: bool = True
) -> TableHealth:
    """The state of a table with this row (None: it never ran). interval: seconds between two ticks."""
    if not enabled:
        return TableHealth(HealthState.OFF, "enabled: false in the table list")
    if row is not None and row.paused:
        return TableHealth(HealthState.PAUSED, _pause(row))
    return _health_of_active(row, interval, now)


def _health_of_active(row: WatermarkRow | None, interval: float, now: datetime) -> TableHealth:
    """The state of a table that ticks sync."""
    if row is None or row.last_run is None:
        running = row is not None and row.lease_holder
        return (
            TableHealth(HealthState.RUNNING, _backfill(row))
            if row and running
            else TableHealth(HealthState.NEVER)
        )
    if row.last_status == Status.ERROR:
        return TableHealth(HealthState.FAILED, _failure(row, now))
    if row.lease_holder:
        return TableHealth(HealthState.RUNNING, _backfill(row))
    silent = (_aware(now) - _aware(row.last_run)).total_seconds()
    if silent > PATIENCE * interval + GRACE_SECONDS:
        return TableHealth(
            HealthState.STUCK,
            f"no run for {approximate_duration(silent)}: are the worker and the schedule running?",
        )
    if row.chunks is not None:
        return TableHealth(HealthState.RUNNING, _backfill(row))  # also when other workers load its chunks
    if row.verification and (found := Verification.from_json(row.verification).differences):
        keys = f": {', '.join(found.keys)}{', …' * (found.total > len(found.keys))}" if found.keys else ""
        return TableHealth(
            HealthState.DIFFERENT,
            f"{counted(found.total, 'row')} {'differ' if found.total > 1 else 'differs'} ({found.text}{keys}):"
            f" pgsnow repair {shlex.quote(row.source_table)}",
        )
    if row.unverified:
        return TableHealth(HealthState.UNVERIFIED, row.unverified)
    if row.open_errors:
        rows = "1 row" if row.open_errors == 1 else f"{row.open_errors} rows"
        return TableHealth(HealthState.PARTIAL, f"{rows} rejected{_stale(row)}: pgsnow errors list")
    state = HealthState.IDLE if row.last_status == Status.IDLE else HealthState.SYNCED
    return TableHealth(state, _staged(row))


def _pause(row: WatermarkRow) -> str:
    """The person who paused the table, since when, for which reason, as far as that is recorded."""
    by = f" by {row.paused_by}" if row.paused_by else ""
    at = f" since {row.paused_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if row.paused_at else ""
    return f"paused{by}{at}{f': {row.paused_reason}' if row.paused_reason else ''}"


def _failure(row: WatermarkRow, now: datetime) -> str:
    """The error; after several failures also their number and the time until scheduled runs try again."""
    error = first_line(row.last_error)
    if row.next_attempt is None:
        return error
    left = approximate_duration(max(0.0, (_aware(row.next_attempt) - _aware(now)).total_seconds()))
    return (
        f"{error} (failed {row.consecutive_failures} times in a row: next attempt in {left};"
        f" at once with pgsnow run --select {shlex.quote(row.source_table)})"
    )


def _stale(row: WatermarkRow) -> str:
    """Rejected rows of which Snowflake keeps an older version, with the reason of the newest."""
    if not row.stale_rows:
        return ""
    versions = "its older version" if row.stale_rows == 1 else "their older versions"
    return f", {row.stale_rows} of them stale: Snowflake keeps {versions} ({row.stale_reason})"


def _backfill(row: WatermarkRow) -> str:
    """Progress of the backfill; speed and time left are computed over all workers, since its start."""
    if row.chunks is None:
        return ""
    done = row.chunks_done or 0
    text = f"backfill: {done} of {row.chunks} chunks are loaded"
    if not done or not row.backfill_seconds:
        return text
    speed = (row.chunk_bytes or 0) / 1024 / 1024 / row.backfill_seconds
    left = approximate_duration(row.backfill_seconds / done * (row.chunks - done))
    return f"{text}, {row.chunk_rows:,} rows, {speed:.1f} MB/s, {left} left"


def _staged(row: WatermarkRow) -> str:
    """Rows that are staged and not loaded yet, with the read lag. The lag until rows are loaded is a separate
    value."""
    if not row.staged_rows:
        return ""
    text = f"{row.staged_rows} row{'s' * (row.staged_rows != 1)} staged, not loaded yet"
    return (
        text
        if row.read_lag_seconds is None
        else f"{text}; read lag {approximate_duration(row.read_lag_seconds)}"
    )


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
