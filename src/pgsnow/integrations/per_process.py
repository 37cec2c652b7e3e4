"""One instance for each process, created at first use: after a fork, and only where it is used."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar


class Closable(Protocol):
    """An object that holds connections."""

    def close(self) -> None: ...


Held = TypeVar("Held", bound=Closable)


class OnePerProcess(Generic[Held]):
    """Holds at most one instance for each process. All methods may be called from any thread."""

    def __init__(self, make: Callable[[], Held]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._pid = 0
        self._held: Held | None = None
        self._inherited: list[Held] = []

    def get(self) -> Held:
        """The instance of this process, created by the first call. Raises what `make` raises."""
        with self._lock:
            if self._held is not None and self._pid != os.getpid():
                # Its sockets are shared with the parent: neither use nor close it, nor let it be collected.
                self._inherited.append(self._held)
                self._held = None
            if self._held is None:
                self._held = self._make()
                self._pid = os.getpid()
            return self._held

    def close(self) -> None:
        """Close the instance that this process created, if any; `get` then creates another. Idempotent."""
        with self._lock:
            if self._held is None or self._pid != os.getpid():
                return
            held, self._held = self._held, None
        held.close()
