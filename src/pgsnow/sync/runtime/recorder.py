"""Counters and phases of one table's run, and notification of its observer."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from pgsnow.model.batch import LoadBatch, LoadResult
from pgsnow.model.report import SentStatement
from pgsnow.sync.runtime.events import Event, Observer

COUNTS = (
    "rows_read", "rows_rejected", "rows_dropped", "rows_inserted", "rows_updated", "rows_deleted", "bytes_staged",
    "load_units", "ranges_compared", "sweep_seconds", "logins",
)  # fmt: skip


class PhaseClock:
    """Wall seconds by phase: plan, probe, connect, prepare (the target is created or altered), read, transform, write,
    quarantine, put, copy, insert, merge, replace, checkpoint, deletes (deleted rows are searched for and removed),
    sweep (leftovers are removed).

    Phases are exclusive: nested blocks count for the inner phase only, so the sum of all phases is at most the elapsed
    time. Only the run's own thread is measured; time that it waits for other threads counts for the phase it is in.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic, began: float | None = None) -> None:
        """now: a monotonic clock, in seconds. began: start of the run (None: now)."""
        self.now = now
        self.began = now() if began is None else began
        self._phase: str | None = None
        self._since = self.began
        self._thread = threading.get_ident()
        self.seconds: dict[str, float] = {}

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return self.now() - self.began

    def attach(self) -> None:
        """Measure the calling thread from now on. Must not be called within a block."""
        self._thread = threading.get_ident()

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Count the block's seconds for `phase`, less those of nested blocks; in any other thread, count nothing."""
        if threading.get_ident() != self._thread:
            yield
            return
        outer = self._phase
        self._enter(phase)
        try:
            yield
        finally:
            self._enter(outer)

    def spent(self, phase: str, seconds: float) -> None:
        """Count seconds that were measured elsewhere and lie within the current block."""
        self.seconds[phase] = self.seconds.get(phase, 0) + seconds
        self._since += seconds

    def _enter(self, phase: str | None) -> None:
        now = self.now()
        if self._phase is not None:
            self.seconds[self._phase] = self.seconds.get(self._phase, 0) + now - self._since
        self._phase, self._since = phase, now


class Recorder:
    """Counts what one run does. Only the attached thread writes to it; every other thread gets its own recorder
    from `for_thread`, which `add` merges once that thread is done. Any thread may call `tell`."""

    def __init__(
        self,
        table: str,
        target: str,
        run_id: str,
        observer: Observer | None = None,
        clock: PhaseClock | None = None,
    ) -> None:
        self.table = table
        self.target = target
        self.run_id = run_id
        self._observer = observer
        self.started_at = datetime.now(UTC)
        self.clock = clock or PhaseClock()
        self.timed = self.clock.timed
        self.phases = self.clock.seconds
        self.events: list[str] = []
        self.query_ids: list[str] = []
        self.statements: list[SentStatement] = []
        self.logins = 0
        self.rows_read = 0
        self.rows_rejected = 0
        self.rows_dropped = 0
        self.cells_changed: Counter[str] = Counter()
        self.rows_inserted = 0
        self.rows_updated = 0
        self.rows_deleted = 0
        self.ranges_compared = 0
        self.sweep_seconds = 0.0
        self.bytes_staged = 0
        self.load_units = 0
        self.replaced = False
        """True once the target's content has been replaced, even if by no rows."""
        self.in_doubt = False
        """True if a statement may still be running in Snowflake when the run ends, and commit late."""
        self.full_read: str | None = None
        self.last_watermark: str | None = None
        self.without_log = ""
        """With `mode: log`: why the table is not read from the log after this run; "": it is, or not known yet."""

    def for_thread(self) -> Recorder:
        """An empty recorder of the same run, for the calling thread."""
        clock = PhaseClock(self.clock.now, self.clock.began)
        return Recorder(self.table, self.target, self.run_id, self._observer, clock)

    def add(self, part: Recorder, *, threads: int = 1) -> None:
        """Add the counts of another thread's recorder. threads: how many worked in parallel; the seconds of each
        are divided by it, so that the phases do not add up to more than the elapsed time."""
        for phase, seconds in part.phases.items():
            self.clock.spent(phase, seconds / threads)
        self.events.extend(event for event in part.events if event not in self.events)
        self.query_ids.extend(part.query_ids)
        self.statements.extend(part.statements)
        self.cells_changed.update(part.cells_changed)
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(part, name))

    def tell(
        self, phase: str, *, rows: int = 0, size: int = 0, detail: str = "", done: int = 0, of: int = 0
    ) -> None:
        """Notify the observer of an event; `phase` is one of pgsnow.sync.runtime.events.PHASES."""
        if self._observer is not None:
            seconds = self.clock.elapsed
            self._observer(Event(self.table, self.run_id, phase, rows, seconds, size, detail, done, of))

    def loaded(self, batch: LoadBatch, result: LoadResult) -> None:
        """Count a load batch that is in the target."""
        self.load_units += 1
        self.bytes_staged += batch.size
        self.applied(result)

    def applied(self, result: LoadResult) -> None:
        """Count Snowflake's result for one load batch or for a whole content."""
        self.rows_inserted += result.inserted
        self.rows_updated += result.updated
        self.rows_deleted += result.deleted
        self.query_ids.extend(result.query_ids)
        for phase, seconds in result.seconds.items():
            self.clock.spent(phase, seconds)
