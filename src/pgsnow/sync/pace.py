"""How fast a backfill goes, and how fast it may."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator

from pgsnow.model.batch import Page
from pgsnow.sync.state import duration

MEGABYTE = 1024 * 1024


class Pace:
    """Of one run of a backfill with so many chunks left. limit: megabytes of rows a second, or None."""

    def __init__(self, left: int, limit: float | None, stop: threading.Event) -> None:
        self._left = left
        self._limit = limit
        self._stop = stop
        self._began = time.monotonic()
        self._chunks = 0
        self.size = 0
        """Bytes of the pages that went by."""

    def kept(self, pages: Iterable[Page]) -> Iterator[Page]:
        """The pages, none before its time. When asked to stop they come at once."""
        for page in pages:
            self.size += page.rows.nbytes
            yield page
            if self._limit is not None:
                self._stop.wait(max(0.0, self.size / (self._limit * MEGABYTE) - self._seconds))

    def chunk_done(self) -> None:
        self._chunks += 1

    @property
    def text(self) -> str:
        """`12.3 MB/s, 4 min left`."""
        speed = f"{self.size / MEGABYTE / max(self._seconds, 0.001):.1f} MB/s"
        if not self._chunks:
            return speed
        left = self._seconds / self._chunks * (self._left - self._chunks)
        return f"{speed}, {duration(left)} left"

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._began
