"""Schemas, stages and file formats, which all targets of a schema share: one thread creates each of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future


class SchemaObjects:
    """The schemas, stages and file formats that this process has created or seen, by qualified name. Any thread may
    call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: dict[str, Future[float]] = {}
        """When each of them was there (monotonic seconds); not done: a thread is creating it."""

    def make(self, objects: Mapping[str, Callable[[], None]]) -> None:
        """Create those of these objects that this process has not created. Of those that other threads are creating
        already, the others are created first, and then it waits. Raises what creating one of them raises, also in
        another thread."""
        others = [self._begun(name, create) for name, create in objects.items()]
        for other in others:
            other.result()

    def make_one(self, name: str, create: Callable[[], None], *, since: float) -> None:
        """Like `make`, for an object that was missing at `since` (monotonic seconds): it is created again if it was
        created before."""
        with self._lock:
            known = self._made.get(name)
            if known is not None and known.done() and known.result() < since:
                del self._made[name]
        self.make({name: create})

    def has(self, name: str) -> bool:
        """True if this process has created the object, or seen it."""
        with self._lock:
            known = self._made.get(name)
        return known is not None and known.done() and known.exception() is None

    def forget(self, *names: str) -> None:
        """Create them again when they are needed next."""
        with self._lock:
            for name in names:
                self._made.pop(name, None)

    def _begun(self, name: str, create: Callable[[], None]) -> Future[float]:
        """The creation of the object, which is done now unless another thread has begun it."""
        mine = Future[float]()
        with self._lock:
            known = self._made.setdefault(name, mine)
        if known is mine:
            try:
                create()
                mine.set_result(time.monotonic())
            except BaseException as error:
                self.forget(name)
                mine.set_exception(error)
        return known
