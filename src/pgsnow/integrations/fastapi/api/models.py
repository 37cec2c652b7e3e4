"""Documents of the JSON API. They are versioned: a field keeps its name and its meaning within /api/v1."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict


class ApiModel(BaseModel):
    """A document. Moments are ISO times with their offset, durations and lags are seconds."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class ProblemOut(ApiModel):
    """Body of every answer that is not 2xx (RFC 9457, application/problem+json)."""

    title: str
    status: int
    detail: str
    advice: str = ""
    """How to fix it."""
    problems: tuple[str, ...] = ()
    """Every problem of the configuration, or of the request's parameters."""


class RowsOut(ApiModel):
    """Rows by operation."""

    inserted: int
    updated: int
    deleted: int
    rejected: int


class BudgetOut(ApiModel):
    """Credits of today (UTC), estimated, and the number of slowed tables. conflict: why the budget cannot be kept; ""
    if it can."""

    limit: float | None
    spent: float
    forecast: float
    held_until: datetime | None
    conflict: str
    slowed: int


class SummaryOut(ApiModel):
    """The whole sync."""

    word: str
    """fresh, behind, failing, stopped, starting or empty."""
    reason: str
    advice: str
    now: datetime
    worst_lag_seconds: float | None
    worst_lag_table: str | None
    last_success: datetime | None
    last_tick: datetime | None
    next_tick: datetime | None
    interval_seconds: float
    statements_24h: int | None
    warehouse_seconds_24h: float | None
    credits_24h: float | None
    """Estimated."""
    budget: BudgetOut | None
    """Null if no budget is configured."""
    rows_24h: RowsOut
    tables: int
    states: dict[str, int]
    """Tables by state."""
    open_requests: int
    version: str
    """pgsnow's version in the web process."""


class RecentRunOut(ApiModel):
    """One of a table's last runs."""

    run_id: str
    status: str
    started_at: datetime
    seconds: float
    rows: int


class PauseOut(ApiModel):
    """The person who paused a table, since when, for which reason; all null if it was paused by SQL."""

    by: str | None
    at: datetime | None
    reason: str | None


class BackfillOut(ApiModel):
    """Progress of a backfill."""

    chunks: int
    done: int
    share: float
    rows: int
    bytes: int
    seconds: float
    rows_per_second: float | None
    bytes_per_second: float | None
    left_seconds: float | None


class SlowedOut(ApiModel):
    """How the budget slows a table: seconds between its loads, those configured, why, until when at the latest, and
    when its next load is expected."""

    load_every: float
    configured: float
    why: str
    until: datetime
    next_load: datetime


class TableOut(ApiModel):
    """One table."""

    name: str
    target: str
    state: str
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
    last_rows: RowsOut
    day_rows: RowsOut
    strip: tuple[RecentRunOut, ...]
    """The last runs, at most 20, oldest first."""
    last_error: str | None
    consecutive_failures: int
    open_rejected: int
    differences: int
    staged_rows: int
    pause: PauseOut | None
    backfill: BackfillOut | None
    verified_at: datetime | None
    slowed: SlowedOut | None
    """Null if the budget does not slow it."""


class TablesOut(ApiModel):
    """A page of tables, by name."""

    items: tuple[TableOut, ...]
    next_cursor: str | None


class PhaseOut(ApiModel):
    """Seconds of a phase, and its share of the run."""

    name: str
    seconds: float
    share: float


class RunOut(ApiModel):
    """One run of one table."""

    run_id: str
    table: str
    target: str
    status: str
    started_at: datetime
    ended_at: datetime
    seconds: float
    rows: RowsOut
    rows_read: int
    bytes_staged: int
    load_units: int
    full_read: str | None
    events: tuple[str, ...]
    error: str | None
    error_type: str | None
    advice: str | None
    phases: tuple[PhaseOut, ...]
    statements: int
    warehouse_seconds: float
    credits: float
    lag_seconds: float | None
    requested_by: str | None


class RunsOut(ApiModel):
    """A page of runs, newest first."""

    items: tuple[RunOut, ...]
    next_cursor: str | None


class StatementOut(ApiModel):
    """A statement sent to Snowflake. query_id: null without dependencies of the router."""

    kind: str
    query_id: str | None
    seconds: float | None
    rows: int | None


class RunDetailOut(ApiModel):
    """A run with its statements, in order."""

    run: RunOut
    statements: tuple[StatementOut, ...]
    last_watermark: str | None


class EventOut(ApiModel):
    """An event of a run: a schema change, a full read and its reason, an audit, a search for deletes."""

    source_table: str
    run_id: str
    at: datetime
    text: str
    status: str
    is_full_read: bool


class EventsOut(ApiModel):
    """A page of events, newest first. It may have more than `limit` events: those of a run are not divided."""

    items: tuple[EventOut, ...]
    next_cursor: str | None


class ErrorOut(ApiModel):
    """A rejected row. key, payload: null without dependencies of the router."""

    id: int
    source_table: str
    key: dict[str, str | None] | None
    column: str | None
    reason: str
    payload: dict[str, Any] | None
    run_id: str
    state: str
    occurrences: int
    created_at: datetime
    updated_at: datetime
    stale: bool | None


class ReasonOut(ApiModel):
    """Open rejected rows of one table with one reason."""

    source_table: str
    reason: str
    rows: int
    newest_at: datetime
    stale: int


class ErrorsOut(ApiModel):
    """A page of rejected rows, newest first, and how many are open for which reason."""

    items: tuple[ErrorOut, ...]
    next_cursor: str | None
    counts: tuple[ReasonOut, ...]


class RequestOut(ApiModel):
    """An action that a person has asked for."""

    id: int
    source_table: str | None
    action: str
    arguments: dict[str, Any]
    requested_by: str
    requested_at: datetime
    state: str
    """open, taken, done or failed."""
    taken_by: str | None
    taken_at: datetime | None
    finished_at: datetime | None
    run_id: str | None
    status: str | None
    error: str | None


class RequestsOut(ApiModel):
    """A page of requests, newest first."""

    items: tuple[RequestOut, ...]
    next_cursor: str | None


class ColumnOut(ApiModel):
    """A column, and where its values are in the target."""

    source: str
    source_type: str
    target: str | None
    target_type: str
    is_key: bool
    not_null: bool
    exact: bool
    note: str


class LagOut(ApiModel):
    """The lag at a moment; null: not known."""

    at: datetime
    seconds: float | None


class RowsBarOut(ApiModel):
    """Rows of one bar of the chart. width: seconds."""

    at: datetime
    width: float
    rows: RowsOut
    runs: int
    failed: int


class SeriesOut(ApiModel):
    """Lag and rows over the span, oldest first."""

    lag: tuple[LagOut, ...]
    rows: tuple[RowsBarOut, ...]


class TableDetailOut(ApiModel):
    """Everything that the ledger knows about one table."""

    now: datetime
    span: str
    line: TableOut
    series: SeriesOut
    last_run: RunOut | None
    runs: tuple[RunOut, ...]
    events: tuple[EventOut, ...]
    requests: tuple[RequestOut, ...]
    columns: tuple[ColumnOut, ...]
    entry: str
    """The table's YAML, without secrets."""
    checkpoint: dict[str, str]
    rejected: tuple[ReasonOut, ...]


class CertificateOut(ApiModel):
    """Result of one comparison of the table with its target."""

    method: str
    by: str
    began_at: datetime
    ended_at: datetime
    snapshot: int | None
    rows: int
    ranges: int
    differences: int
    repaired: int
    kept: int
    without: tuple[str, ...]


class CertificatesOut(ApiModel):
    """Certificates of one table, newest first; none if it was never compared."""

    table: str
    certificates: tuple[CertificateOut, ...]
    verify_share: float | None
    """The part of the table that verify_every has compared in this round; null: there is none."""
    differences: int
    """Rows that are known to differ, and not repaired."""
