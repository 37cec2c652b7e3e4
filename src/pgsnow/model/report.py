"""Results of syncing: a TableReport for each table's run, a SyncReport for each tick. CLI, Celery, logs, metrics and
the status page are made from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """How a table's run ended; the first three count as success."""

    OK = "ok"
    IDLE = "idle"
    PARTIAL = "partial"
    """Loaded, but some rows were rejected."""
    ERROR = "error"
    LOCKED = "locked"
    """Another run is syncing the table or loading chunks of its backfill, or it has taken the table over."""
    HELD = "locked"
    """Former name of LOCKED, until the next release."""
    NOT_DUE = "not-due"
    """The table ran less than its interval ago."""
    PAUSED = "paused"
    """A person has paused the table in the ledger."""
    BACKING_OFF = "backing-off"
    """The table has failed several times in a row, and its next attempt is not due yet."""
    STOPPED = "stopped"
    APPLIED = "applied"
    """`pgsnow apply` sent the target's DDL; nothing was loaded."""


SUCCESS = frozenset({Status.OK, Status.IDLE, Status.PARTIAL})
FAILING = frozenset({Status.ERROR, Status.BACKING_OFF})
"""Tables that are not synced because of an error, whether this tick has tried them or not."""
SKIPPED = frozenset({Status.LOCKED, Status.NOT_DUE, Status.PAUSED, Status.BACKING_OFF})
"""Tables that the tick has left alone."""
SHORTEST_USE = timedelta(seconds=60)
"""A warehouse is billed for a minute each time it is resumed, and by the second after that (Snowflake docs,
"Understanding compute cost")."""


@dataclass(frozen=True, slots=True)
class SentStatement:
    """A statement that was sent to Snowflake.

    kind: its first word, in capital letters. query_id: empty if Snowflake gave none. started_at: by the worker's clock.
    seconds: until its whole result had arrived. rows: as Snowflake counts them, rows loaded for COPY; None if it failed
    or counts none. warehouse: it needs a warehouse. failed: it ended with an error, or its answer was lost.
    """

    kind: str
    query_id: str
    started_at: datetime
    seconds: float
    rows: int | None
    warehouse: bool
    failed: bool = False

    def to_json(self) -> dict[str, Any]:
        return {name: _plain(getattr(self, name)) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class WarehouseUse:
    """Time for which a warehouse is billed: it is resumed at `since`, and suspended at `until`. awake_seconds: less
    than between the two if it is suspended meanwhile."""

    since: datetime
    until: datetime
    awake_seconds: float


@dataclass(frozen=True, slots=True)
class TableReport:
    """One table in one tick. Seconds are wall-clock seconds; `phases` maps the name of a phase to its seconds."""

    table: str
    target: str
    run_id: str
    status: Status
    started_at: datetime
    seconds: float = 0.0
    phases: dict[str, float] = field(default_factory=dict)
    rows_read: int = 0
    rows_rejected: int = 0
    rows_dropped: int = 0
    """Rows that the transform dropped (it returned None)."""
    cells_changed: dict[str, int] = field(default_factory=dict)
    """Source column → number of values that `on_overflow` changed."""
    rows_inserted: int = 0
    rows_updated: int = 0
    rows_deleted: int = 0
    """Rows deleted in the target, or marked as deleted, because the source no longer has them."""
    ranges_compared: int = 0
    """Key ranges that were compared in search of deleted rows."""
    sweep_seconds: float = 0.0
    """Duration of that search, with the deletes."""
    bytes_staged: int = 0
    load_units: int = 0
    query_ids: tuple[str, ...] = ()
    statements: tuple[SentStatement, ...] = ()
    """Everything that was sent to Snowflake, in order of the beginnings."""
    statement_count: int = 0
    """Statements sent to Snowflake, failed ones included."""
    logins: int = 0
    """Logins to Snowflake."""
    warehouse_seconds: float = 0.0
    """Seconds of the statements that need a warehouse."""
    credits: float = 0.0
    """Estimated credits; known once the ledger has recorded the run."""
    full_read: str | None = None
    """Why everything was read (first run, another server, …); None for an incremental read."""
    events: tuple[str, ...] = ()
    """Noteworthy events: a column was added, a table switched to xmin mode, …"""
    error: str | None = None
    error_type: str | None = None
    advice: str | None = None
    transient: bool = False
    retry_seconds: float | None = None
    """Seconds from the start of this failed run until scheduled ticks try the table again; None: the next tick does."""
    lasting_failures: int | None = None
    """Failed runs in a row whose error was not likely to pass by itself, with this one; None: this run is none."""
    failed_entry: str | None = None
    """Hash of the table's configuration with which this run failed."""
    next_attempt: datetime | None = None
    """When a table that is backing off is tried again."""
    last_watermark: str | None = None
    without_log: str | None = None
    """Why the table, with `mode: log`, is not read from the log after this run; None: it is."""
    lag_seconds: float | None = None
    chunks_left: int = 0
    """Chunks of the table's backfill that are not loaded yet. The backfill ends after the last of them."""
    chunks_waiting: int = 0
    """The chunks left that no worker is loading."""

    @property
    def ok(self) -> bool:
        return self.status in SUCCESS

    @property
    def rows_processed(self) -> int:
        return self.rows_inserted + self.rows_updated

    def warehouse_use(self, suspend_seconds: float) -> WarehouseUse | None:
        """How long the run alone kept a warehouse awake that is suspended after so many seconds without a statement;
        None if it needed none."""
        uses: list[tuple[datetime, datetime]] = []
        for sent in self.statements:
            if sent.warehouse:
                since, until = (
                    sent.started_at,
                    sent.started_at + timedelta(seconds=sent.seconds + suspend_seconds),
                )
                if uses and since <= uses[-1][1]:
                    since, until = uses[-1][0], max(uses.pop()[1], until)
                uses.append((since, max(until, since + SHORTEST_USE)))
        if not uses:
            return None
        awake = sum((until - since for since, until in uses), timedelta())
        return WarehouseUse(uses[0][0], uses[-1][1], awake.total_seconds())

    def to_json(self) -> dict[str, Any]:
        return {name: _plain(getattr(self, name)) for name in self.__slots__} | {
            "rows_processed": self.rows_processed
        }


@dataclass(frozen=True, slots=True)
class ChunkReport:
    """One loaded chunk of a table's backfill.

    size: bytes of its rows in memory. left: chunks of the backfill that are not loaded yet. waiting: those of them that
    no worker is loading.
    """

    table: str
    run_id: str
    number: int
    rows: int
    rejected: int
    size: int
    seconds: float
    done: int
    left: int
    waiting: int


@dataclass(frozen=True, slots=True)
class SyncReport:
    """One tick."""

    run_id: str
    started_at: datetime
    seconds: float
    tables: tuple[TableReport, ...]

    @property
    def failures(self) -> tuple[TableReport, ...]:
        return tuple(t for t in self.tables if t.status is Status.ERROR)

    @property
    def transient(self) -> bool:
        """True if something failed, and every failure may succeed if it is retried now."""
        return bool(self.failures) and all(t.transient for t in self.failures)

    def metrics(self) -> dict[str, Any]:
        """The plan's metrics."""
        return {
            "sync_success_count": sum(t.ok for t in self.tables),
            "sync_failure_count": sum(t.status in FAILING for t in self.tables),
            "last_sync_duration_seconds": round(self.seconds, 3),
            "rows_processed": {t.table: t.rows_processed for t in self.tables},
        }

    def to_json(self) -> dict[str, Any]:
        return {
            "run_id": self.run_id,
            "started_at": self.started_at.isoformat(),
            **self.metrics(),
            "tables": [t.to_json() for t in self.tables],
        }


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return [item.to_json() if isinstance(item, SentStatement) else item for item in value]
    return value.value if isinstance(value, StrEnum) else value
