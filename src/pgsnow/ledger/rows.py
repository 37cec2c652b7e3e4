"""Rows of sync_watermarks and sync_errors, as commands and the status document show them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple


class WatermarkRow(NamedTuple):
    """One table's row of sync_watermarks, with what is counted for it in the other tables. A named tuple, because the
    status page makes one for each of a thousand tables: as a frozen dataclass that is a sixth of its time."""

    source_table: str
    target_table: str | None
    last_watermark: str | None
    last_run: datetime | None
    last_success: datetime | None
    last_status: str | None
    last_error: str | None
    rows_processed: int
    read_mode: str | None
    lease_holder: str | None
    open_errors: int = 0
    stale_rows: int = 0
    """Rows with an open error of which the target has an older version."""
    stale_reason: str | None = None
    """Why the newest of them was rejected."""
    lag_seconds: float | None = None
    """Now − the newest source commit known to be in Snowflake."""
    chunks: int | None = None
    """Chunks of the current backfill; None: there is no backfill."""
    chunks_done: int | None = None
    chunk_rows: int | None = None
    """Rows of the chunks that are done."""
    chunk_bytes: int | None = None
    """Bytes in memory of the chunks that are done."""
    backfill_seconds: float | None = None
    """Seconds since the backfill began."""
    staged_rows: int = 0
    """Rows that are read and staged, and not loaded yet."""
    staged_bytes: int = 0
    read_lag_seconds: float | None = None
    """Now − the newest source commit known to be read: in Snowflake, or staged for it."""
    unverified: str | None = None
    """Why the target may hold rows that the source has lost, until a verify has passed."""
    audit_seconds: float | None = None
    """Seconds since the last audit, or since the first read before there was one."""

    verification: Any = None
    """JSON of model.comparison.certificate.Verification, as the ledger stores it."""
    swept_at: datetime | None = None
    """Start of the run that last compared the target's keys with the source, so that no deleted row is in it from
    before."""
    deletes_pending_since: datetime | None = None
    """Since when the source may have deleted rows that nothing has searched for yet; None: it has none."""
    deletes_pending_why: str | None = None
    consecutive_failures: int = 0
    """Runs that ended with error since the last success."""
    next_attempt: datetime | None = None
    """Scheduled runs leave the table alone until then; None: the next tick tries it."""
    paused: bool = False
    paused_by: str | None = None
    """The person who paused it; None if it was paused by a statement, or is not paused."""
    paused_at: datetime | None = None
    paused_reason: str | None = None
    lease_age: float | None = None
    """Seconds since the current lease was granted; None: no worker holds it."""
    without_log: str | None = None
    """With `mode: log`, why the table is not read from the log; None: it is."""

    @property
    def is_integer(self) -> bool:
        """True if the watermark is an integer, as far as a loaded row shows it."""
        return self.last_watermark is not None and self.last_watermark.lstrip("-").isdigit()


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """One rejected row: a row of sync_errors."""

    id: int
    source_table: str
    key: dict[str, str | None]
    column: str | None
    reason: str
    payload: dict[str, Any] | None
    run_id: str
    state: str
    """open, replayed or dismissed."""
    occurrences: int
    created_at: datetime
    updated_at: datetime
    bad_columns: list[dict[str, Any]] = field(default_factory=list)
    """For each bad column its `name`, the `reason`, and `admitted_by`: the choices of `on_overflow` that would admit
    the value. Empty if that is not known, or if something else is wrong too."""
    stale: bool | None = None
    """The target has an older version of the row; None: not known."""


@dataclass(frozen=True, slots=True)
class RejectedCount:
    """Open rejected rows of one table with one reason."""

    source_table: str
    reason: str
    rows: int
    newest_id: int
    newest_at: datetime
    stale: int
    """Those of them of which the target has an older version."""
