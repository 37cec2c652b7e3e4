"""How fast a backfill goes, and how fast it may."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator

from pgsnow.model.batch import Page
from pgsnow.model.duration import approximate_duration

MEGABYTE = 1024 * 1024


class RateMeter:
    """Of all threads of a run that load chunks of one backfill, together. left: how many chunks there were when it
    began. limit: megabytes of rows a second, or None."""

    def __init__(self, left: int, limit: float | None, stop: threading.Event) -> None:
        self._left = left
        self._limit = limit
        self._stop = stop
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._size = 0
        self._chunks = 0

    def read(self, size: int) -> None:
        """So many bytes more."""
        with self._lock:
            self._size += size

    def wait(self) -> None:
        """Until it is time for more. When asked to stop it is time at once."""
        if self._limit is not None:
            self._stop.wait(max(0.0, self._size / (self._limit * MEGABYTE) - self._seconds))

    def chunk_done(self, left: int) -> None:
        """left: chunks that are to be done now, whoever did the others."""
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
    """Of one thread."""

    def __init__(self, speed: RateMeter) -> None:
        self._speed = speed
        self.size = 0
        """Bytes of the pages that went by."""

    def kept(self, pages: Iterable[Page]) -> Iterator[Page]:
        """The pages, none before its time."""
        for page in pages:
            self.size += page.rows.nbytes
            self._speed.read(page.rows.nbytes)
            yield page
            self._speed.wait()
