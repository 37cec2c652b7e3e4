"""Counting what one table's run does, and telling the observer as it goes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

from pgsnow.model.backfill import ChunkCounts
from pgsnow.model.batch import LoadBatch, LoadResult
from pgsnow.model.errors import PgsnowError
from pgsnow.model.report import Status, TableReport
from pgsnow.model.unexpected import public_advice, public_text
from pgsnow.sync.runtime.events import Event, Observer

_COUNTS = (
    "rows_read", "rows_rejected", "rows_dropped", "rows_inserted", "rows_updated", "bytes_staged", "load_units",
)  # fmt: skip


class Recorder:
    """The run's tally. One thread writes it: others write one `apart`, which is added once they are done."""

    def __init__(self, table: str, target: str, run_id: str, observer: Observer) -> None:
        self.table = table
        self.target = target
        self.run_id = run_id
        self._observer = observer
        self._began = time.monotonic()
        self._started_at = datetime.now(UTC)
        self.phases: dict[str, float] = {}
        self.events: list[str] = []
        self.query_ids: list[str] = []
        self.rows_read = 0
        self.rows_rejected = 0
        self.rows_dropped = 0
        self.cells_changed: Counter[str] = Counter()
        self.rows_inserted = 0
        self.rows_updated = 0
        self.bytes_staged = 0
        self.load_units = 0
        self.replaced = False
        """The target's content was replaced, if by nothing."""
        self.backfilled = False
        """A backfill has ended, whoever has loaded its rows."""
        self.full_read: str | None = None
        self.last_watermark: str | None = None
        self.left_to_others: ChunkCounts | None = None
        """How far the backfill is that keeps this run from going on."""

    def apart(self) -> Recorder:
        """An empty tally of the same run."""
        part = Recorder(self.table, self.target, self.run_id, self._observer)
        part._began, part._started_at = self._began, self._started_at
        return part

    def add(self, part: Recorder) -> None:
        """What was counted apart. Seconds of threads that worked side by side add up to more than passed."""
        for phase, seconds in part.phases.items():
            self.spent(phase, seconds)
        self.events.extend(event for event in part.events if event not in self.events)
        self.query_ids.extend(part.query_ids)
        self.cells_changed.update(part.cells_changed)
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(part, name))

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Add the block's wall seconds to `phase`."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.spent(phase, time.monotonic() - began)

    def spent(self, phase: str, seconds: float) -> None:
        self.phases[phase] = self.phases.get(phase, 0.0) + seconds

    def tell(
        self, phase: str, *, rows: int = 0, size: int = 0, detail: str = "", done: int = 0, of: int = 0
    ) -> None:
        seconds = time.monotonic() - self._began
        self._observer(Event(self.table, self.run_id, phase, rows, seconds, size, detail, done, of))

    def loaded(self, unit: LoadBatch, result: LoadResult) -> None:
        self.load_units += 1
        self.bytes_staged += unit.size
        self.applied(result)

    def applied(self, result: LoadResult) -> None:
        """What Snowflake said, of one unit or of a whole content."""
        self.rows_inserted += result.inserted
        self.rows_updated += result.updated
        self.query_ids.extend(result.query_ids)
        for phase, seconds in result.seconds.items():
            self.spent(phase, seconds)

    def report(self, status: Status | None = None, error: BaseException | None = None) -> TableReport:
        """The report as of now; without a status: how a run that came to its end without an error ended."""
        left = self.left_to_others
        if status is None and left is not None:
            return replace(
                self.report(Status.HELD),
                error=f"backfill under way: {left.done} of {left.chunks} chunks are loaded",
                error_type="BackfillUnderWay",
                chunks_left=left.left,
                chunks_waiting=left.waiting,
            )
        known = error if isinstance(error, PgsnowError) else None
        return TableReport(
            table=self.table,
            target=self.target,
            run_id=self.run_id,
            status=status or self._good_status(),
            started_at=self._started_at,
            seconds=round(time.monotonic() - self._began, 6),
            phases={phase: round(seconds, 6) for phase, seconds in self.phases.items()},
            rows_read=self.rows_read,
            rows_rejected=self.rows_rejected,
            rows_dropped=self.rows_dropped,
            cells_changed=dict(self.cells_changed),
            rows_inserted=self.rows_inserted,
            rows_updated=self.rows_updated,
            bytes_staged=self.bytes_staged,
            load_units=self.load_units,
            query_ids=tuple(self.query_ids),
            full_read=self.full_read,
            events=(*self.events, *self._told_changes()),
            error=None if error is None else public_text(error),
            error_type=None if error is None else type(error).__name__,
            advice=None if error is None else (public_advice(error) or None),
            transient=bool(known and known.transient),
            last_watermark=self.last_watermark,
        )

    def _told_changes(self) -> list[str]:
        return [
            f"changed {count} {'value' if count == 1 else 'values'} of {column}: the target cannot hold them"
            for column, count in sorted(self.cells_changed.items())
        ]

    def _good_status(self) -> Status:
        if self.rows_rejected:
            return Status.PARTIAL
        worked = self.rows_read or self.replaced or self.backfilled or self.load_units
        return Status.OK if worked else Status.IDLE
