"""Measures the speed of a backfill, and limits it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator

from pgsnow.model.batch import Page
from pgsnow.model.duration import approximate_duration

MEGABYTE = 1024 * 1024


class RateMeter:
    """Speed of all threads of a run that load chunks of one backfill. left: number of chunks when the run began.
    limit: megabytes of rows per second, or None."""

    def __init__(self, left: int, limit: float | None, stop: threading.Event) -> None:
        self._left = left
        self._limit = limit
        self._stop = stop
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._size = 0
        self._chunks = 0

    def read(self, size: int) -> None:
        """Count bytes that were read."""
        with self._lock:
            self._size += size

    def wait(self) -> None:
        """Wait as long as the limit demands, or until a stop is requested."""
        if self._limit is not None:
            self._stop.wait(max(0.0, self._size / (self._limit * MEGABYTE) - self._seconds))

    def chunk_done(self, left: int) -> None:
        """left: number of remaining chunks, as other processes may have loaded some."""
        with self._lock:
            self._chunks = self._left - left

    @property
    def text(self) -> str:
        """`12.3 MB/s, 4 min left`."""
        speed = f"{self._size / MEGABYTE / max(self._seconds, 0.001):.1f} MB/s"
        if self._chunks <= 0:
            return speed
        left = self._seconds / self._chunks * (self._left - self._chunks)
        return f"{speed}, {approximate_duration(left)} left"

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._began


class Throttle:
    """Slows the pages of one chunk down to the backfill's speed limit."""

    def __init__(self, speed: RateMeter) -> None:
        self._speed = speed
        self.size = 0
        """Bytes of the pages so far."""

    def pass_on(self, pages: Iterable[Page]) -> Iterator[Page]:
        """The pages, each no earlier than the limit allows."""
        for page in pages:
            self.size += page.rows.nbytes
            self._speed.read(page.rows.nbytes)
            yield page
            self._speed.wait()
