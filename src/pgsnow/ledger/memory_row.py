"""One table's row of the ledger in memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from pgsnow.ledger.memory_chunk import MemoryChunk
from pgsnow.ledger.store import WatermarkRow
from pgsnow.ledger.values import FENCES_OF_A_CLAIM, applied_until
from pgsnow.model.backfill import Backfill
from pgsnow.model.checkpoint import Checkpoint
from pgsnow.model.drift import KnownSource
from pgsnow.model.report import TableReport


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
    last_run: datetime | None = None
    last_success: datetime | None = None
    report: TableReport | None = None

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

    def shown(self, table: str, now: datetime, open_errors: int) -> WatermarkRow:
        """For people."""
        report, checkpoint = self.report, self.checkpoint
        return WatermarkRow(
            source_table=table,
            target_table=report.target if report else None,
            last_watermark=checkpoint.last_watermark if checkpoint else None,
            last_run=self.last_run,
            last_success=self.last_success,
            last_status=report.status.value if report else None,
            last_error=report.error if report else None,
            rows_processed=report.rows_processed if report else 0,
            read_mode=checkpoint.mode.value if checkpoint else None,
            lease_holder=self.holder if self.expires is not None and now < self.expires else None,
            open_errors=open_errors,
            lag_seconds=self._lag(now),
            chunks=len(self.backfill.chunks) if self.backfill else None,
            chunks_done=len(self.backfill.done) if self.backfill else None,
            chunk_rows=sum(chunk.rows for chunk in self.backfill.chunks) if self.backfill else None,
            chunk_bytes=sum(chunk.size for chunk in self.backfill.chunks) if self.backfill else None,
            backfill_seconds=self._seconds_of_the_backfill(now),
        )

    def _seconds_of_the_backfill(self, now: datetime) -> float | None:
        if self.backfill is None or self.filled_since is None:
            return None
        return (now - self.filled_since).total_seconds()

    def _lag(self, now: datetime) -> float | None:
        text = applied_until(self.checkpoint) if self.checkpoint else None
        since = _moment(text) if text is not None else self.last_success
        return None if since is None else max(0.0, (now - since).total_seconds())


def _moment(text: str) -> datetime:
    """Postgres's text as Python reads it; a year that Python has not is as far away as can be."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return datetime.max.replace(tzinfo=UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
