"""Prefetching: a thread fetches or makes items while the ones before them are processed, and can be cancelled."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Generic, TypeVar

READY = 2
"""Prefetched items at most, if nothing else is said. With the one being fetched and the one being processed, that
bounds the memory."""
_POLL = 0.1
"""Seconds between two checks of a blocked thread whether it is still needed."""


Item = TypeVar("Item")


class Prefetcher(Generic[Item]):
    """The items of a reader, in order; what the reader raises is raised here. Use as a context manager. cancel: ends
    the reader's wait for an item that is not needed any more."""

    def __init__(
        self, reader: Iterable[Item], cancel: Callable[[], None] = lambda: None, *, ready: int = READY
    ) -> None:
        self._reader = reader
        self._cancel = cancel
        self._ready: queue.Queue[Item | BaseException | None] = queue.Queue(ready)
        self._stopped = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._pump, name="pgsnow-fetch", daemon=True)

    def __enter__(self) -> Prefetcher[Item]:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cancels the query if rows are still coming. The thread has ended when this returns.

        A query that has ended is not cancelled: the request might reach the connection's next statement.
        """
        if self._ended:
            self._thread.join()
            return
        self._stopped.set()
        while self._thread.is_alive():
            self._cancel()
            self._thread.join(_POLL)

    def __iter__(self) -> Iterator[Item]:
        while True:
            found = self._ready.get()
            self._ended = found is None or isinstance(found, BaseException)
            if found is None:
                return
            if isinstance(found, BaseException):
                raise found
            yield found

    def _pump(self) -> None:
        try:
            for batch in self._reader:
                if not self._put(batch):
                    return
            self._put(None)
        except BaseException as error:
            self._put(error)

    def _put(self, item: Item | BaseException | None) -> bool:
        while not self._stopped.is_set():
            try:
                self._ready.put(item, timeout=_POLL)
            except queue.Full:
                continue
            return True
        return False
