"""Status of one configured table as a record, which `pgsnow status` and the HTTP status show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pgsnow.model.comparison.certificate import Verification
from pgsnow.model.config.options import Deletes, OnDetach
from pgsnow.model.config.table_config import WHOLE_MODES, TableMode
from pgsnow.operations.status.budget import BudgetState, slowed_record
from pgsnow.operations.status.lag import Lag, lag_of
from pgsnow.operations.status.table_state import HealthState, TableHealth, health_of

if TYPE_CHECKING:
    from pgsnow.ledger.rows import WatermarkRow
    from pgsnow.model.budget.demand import Pace
    from pgsnow.model.config.sync_config import SyncConfig, TableConfig


@dataclass(frozen=True, slots=True)
class TableStatus:
    """Status of one table. row: None if it never ran. lag: lag_of(config, row)."""

    config: TableConfig
    row: WatermarkRow | None
    health: TableHealth
    lag: Lag
    pace: Pace | None = None
    """How the budget slows it; None: it does not."""

    @property
    def why(self) -> str:
        """The reason for the state, and for a lag that is larger than the time since the last tick."""
        shown = self.lag.why if self.health.state in (HealthState.IDLE, HealthState.SYNCED) else ""
        slowed = self.pace.text if self.pace else ""
        texts = (self.health.why, shown, slowed, self._without_log, self._pending)
        return "; ".join(text for text in texts if text)

    @property
    def _without_log(self) -> str:
        """Why a table with `mode: log` is not read from the log; "": it is."""
        if self.row is None or self.row.without_log is None or self.config.mode is not TableMode.LOG:
            return ""
        return f"read without the log: {self.row.without_log}"

    @property
    def deletes_pending_since(self) -> datetime | None:
        """Since when the source may have deleted rows that nothing has searched for yet; None: it has none, or deleted
        rows stay."""
        config = self.config
        stay = config.where is not None or config.on_detach is OnDetach.KEEP
        off = stay if config.deletes is None else config.deletes is Deletes.OFF
        return (
            None if self.row is None or off or config.mode in WHOLE_MODES else self.row.deletes_pending_since
        )

    @property
    def _pending(self) -> str:
        """A sentence about deletes of the source that nothing has searched for yet; "" if there are none."""
        since = self.deletes_pending_since
        if self.row is None or since is None:
            return ""
        return f"deletes pending since {since.astimezone(UTC):%Y-%m-%d %H:%M} UTC: {self.row.deletes_pending_why}"

    def record(self) -> dict[str, Any]:
        """Moments are datetimes, lags seconds; what is not known yet is None, and counts are 0."""
        row, lag = self.row, self.lag
        verification = Verification.from_json(row.verification if row else None)
        certificates = sorted(verification.certificates.values(), key=lambda one: one.ended_at, reverse=True)
        return {
            "table": self.config.name,
            "target": (row and row.target_table) or self.config.target,
            "state": str(self.health.state),
            "why": self.why,
            "lag_seconds": lag.seconds,
            "lag_covers": lag.covers or None,
            "read_lag_seconds": lag.read_seconds,
            "staged_rows": row.staged_rows if row else 0,
            "staged_bytes": row.staged_bytes if row else 0,
            "slowed": slowed_record(self.pace),
            "last_run": row and row.last_run,
            "last_success": row and row.last_success,
            "last_status": row and row.last_status,
            "last_error": row and row.last_error,
            "consecutive_failures": row.consecutive_failures if row else 0,
            "next_attempt": row and row.next_attempt,
            "last_watermark": row and row.last_watermark,
            "rows_processed": row.rows_processed if row else 0,
            "open_errors": row.open_errors if row else 0,
            "stale_rows": row.stale_rows if row else 0,
            "read_mode": row and row.read_mode,
            "without_log": row and row.without_log if self._without_log else None,
            "deletes_compared": row and row.swept_at,
            "deletes_pending_since": row and row.deletes_pending_since if self._pending else None,
            "unverified": row and row.unverified,
            "certificates": [asdict(certificate) for certificate in certificates],
            "verify_progress": verification.round and round(verification.round.share, 3),
            "differences": verification.differences and asdict(verification.differences),
            "lease_holder": row and row.lease_holder,
            "chunks": row and row.chunks,
            "chunks_done": row and row.chunks_done,
        }


def table_statuses(
    config: SyncConfig,
    tables: Sequence[TableConfig],
    rows: Sequence[WatermarkRow],
    now: datetime,
    budget: BudgetState | None = None,
) -> list[TableStatus]:
    """One status for each of `tables`, in their order. rows: all rows of the ledger. budget: of budget_of."""
    by_name = {row.source_table: row for row in rows}
    paces = budget.paces if budget else {}
    return [
        TableStatus(
            table,
            row,
            health_of(row, interval=_between_runs(config, table, pace), now=now, enabled=table.enabled),
            lag_of(table, row),
            pace,
        )
        for table in tables
        for row, pace in [(by_name.get(table.name), paces.get(table.name))]
    ]


def _between_runs(config: SyncConfig, table: TableConfig, pace: Pace | None) -> float:
    """Seconds between two runs. A slowed table whose changes cannot be staged is left alone until it is loaded."""
    left_alone = pace is not None and (pace.held or not table.can_be_staged)
    slowed = pace.accepted_wait(table.max_lag) if pace is not None and left_alone else 0.0
    return max(config.sync_interval_seconds, table.every, slowed)
