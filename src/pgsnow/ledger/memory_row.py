"""One table's row of the ledger in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from pgsnow.ledger.memory_chunk import MemoryChunk
from pgsnow.ledger.store import WatermarkRow
from pgsnow.ledger.values import FENCES_OF_A_CLAIM, applied_until
from pgsnow.model.backfill import Backfill
from pgsnow.model.checkpoint import Checkpoint
from pgsnow.model.deferred_batch import StagedBatch
from pgsnow.model.evolution.drift import KnownSource
from pgsnow.model.report import Status, TableReport


@dataclass(slots=True)
class MemoryRow:
    """The columns of sync_watermarks that matter outside of Postgres. `session` stands for the advisory lock."""

    fence: int = 0
    session: object | None = None
    run_id: str | None = None
    holder: str | None = None
    since: datetime | None = None
    expires: datetime | None = None
    paused: bool = False
    checkpoint: Checkpoint | None = None
    open_batches: list[str] = field(default_factory=list)
    target_columns: dict[str, str] | None = None
    known: KnownSource | None = None
    backfill: Backfill | None = None
    chunks: dict[int, MemoryChunk] = field(default_factory=dict)
    """Who has which, by number."""
    last_chunk_fence: int = 0
    filled_since: datetime | None = None
    """When the backfill under way began."""
    staged: list[StagedBatch] = field(default_factory=list)
    staged_since: datetime | None = None
    loaded_checkpoint: Checkpoint | None = None
    """While anything is staged: where the loading is."""
    last_run: datetime | None = None
    last_success: datetime | None = None
    report: TableReport | None = None
    last_status: str | None = None
    last_error: str | None = None

    def barred(self, now: datetime, min_age: float) -> str | None:
        """Why nobody may have it now, whoever asks."""
        if self.paused:
            return "paused"
        if self.last_success is None or min_age <= 0:
            return None
        return "not due" if now - timedelta(seconds=min_age) <= self.last_success <= now else None

    def held(self, now: datetime) -> bool:
        """Somebody alive has it."""
        return self.session is not None and self.expires is not None and now < self.expires

    def grant(self, session: object, run_id: str, holder: str, now: datetime, expires: datetime) -> None:
        """To this run."""
        self.fence = max(self.fence + 1 + FENCES_OF_A_CLAIM, int(now.timestamp() * 1_000_000))
        self.session, self.run_id, self.holder = session, run_id, holder
        self.since, self.expires = now, expires

    def backfill_now(self) -> Backfill | None:
        """With what its chunks have left in Snowflake."""
        if self.backfill is None:
            return None
        left = {number: tuple(chunk.open_batches) for number, chunk in self.chunks.items()}
        chunks = (replace(c, open_batches=left.get(c.number, ())) for c in self.backfill.chunks)
        return replace(self.backfill, chunks=tuple(chunks))

    def close_chunk_batches(self, closed: frozenset[str]) -> None:
        """Their staging is gone."""
        for chunk in self.chunks.values():
            chunk.open_batches[:] = [batch for batch in chunk.open_batches if batch not in closed]

    def end_backfill(self) -> None:
        """What its chunks have left in Snowflake is the table's to sweep."""
        self.open_batches.extend(batch for chunk in self.chunks.values() for batch in chunk.open_batches)
        self.backfill, self.chunks = None, {}

    def free(self) -> None:
        """Nobody has it."""
        self.session = self.run_id = self.holder = self.expires = None

    def finish(self, report: TableReport) -> None:
        """Note how the run ended."""
        self.report, self.last_run = report, self.since
        if report.ok:
            self.last_success = self.since
        if report.status is not Status.HELD:
            self.last_status, self.last_error = report.status.value, report.error

    @property
    def loaded(self) -> Checkpoint | None:
        """Where the loading is."""
        return self.loaded_checkpoint if self.staged else self.checkpoint

    def stage(self, batches: Sequence[StagedBatch], now: datetime) -> None:
        """These wait too; they are open ones no more."""
        listed = {batch.batch for batch in self.staged}
        if not self.staged:
            self.loaded_checkpoint, self.staged_since = self.checkpoint, now
        self.staged.extend(batch for batch in batches if batch.batch not in listed)
        names = {batch.batch for batch in batches}
        self.open_batches = [batch for batch in self.open_batches if batch not in names]

    def unstage(self) -> None:
        """What waited is left to be swept."""
        self.open_batches += [batch.batch for batch in self.staged]
        self.staged, self.staged_since, self.loaded_checkpoint = [], None, None

    def shown(self, table: str, now: datetime, open_errors: int) -> WatermarkRow:
        """For people."""
        report, checkpoint = self.report, self.loaded
        return WatermarkRow(
            source_table=table,
            target_table=report.target if report else None,
            last_watermark=checkpoint.last_watermark if checkpoint else None,
            last_run=self.last_run,
            last_success=self.last_success,
            last_status=self.last_status,
            last_error=self.last_error,
            rows_processed=report.rows_processed if report else 0,
            read_mode=self.checkpoint.mode.value if self.checkpoint else None,
            lease_holder=self.holder if self.expires is not None and now < self.expires else None,
            open_errors=open_errors,
            lag_seconds=self._lag(now, self.loaded),
            chunks=len(self.backfill.chunks) if self.backfill else None,
            chunks_done=len(self.backfill.done) if self.backfill else None,
            chunk_rows=sum(chunk.rows for chunk in self.backfill.chunks) if self.backfill else None,
            chunk_bytes=sum(chunk.size for chunk in self.backfill.chunks) if self.backfill else None,
            backfill_seconds=self._seconds_of_the_backfill(now),
            staged_rows=sum(batch.rows for batch in self.staged),
            staged_bytes=sum(batch.size for batch in self.staged),
            read_lag_seconds=self._lag(now, self.checkpoint),
        )

    def _seconds_of_the_backfill(self, now: datetime) -> float | None:
        if self.backfill is None or self.filled_since is None:
            return None
        return (now - self.filled_since).total_seconds()

    def _lag(self, now: datetime, checkpoint: Checkpoint | None) -> float | None:
        text = applied_until(checkpoint) if checkpoint else None
        since = _moment(text) if text is not None else self.last_success
        return None if since is None else max(0.0, (now - since).total_seconds())


def _moment(text: str) -> datetime:
    """Postgres's text as Python reads it; a year that Python has not is as far away as can be."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return datetime.max.replace(tzinfo=UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
