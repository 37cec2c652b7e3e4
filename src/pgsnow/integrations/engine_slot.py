"""One engine a process, made when it is first needed: after the fork, and never where no tick runs."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pgsnow.sync.engine import Engine


class EngineSlot:
    """Holds at most one engine of this process. All methods may be called from any thread."""

    def __init__(self, make: Callable[[], Engine]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._pid = 0
        self._engine: Engine | None = None
        self._inherited: list[Engine] = []

    def get(self) -> Engine:
        """The engine, made now if there is none. Raises what making it raises."""
        with self._lock:
            if self._engine is not None and self._pid != os.getpid():
                # Its sockets are shared with the parent: neither use nor close them, nor let them be
                # collected.
                self._inherited.append(self._engine)
                self._engine = None
            if self._engine is None:
                self._engine = self._make()
                self._pid = os.getpid()
            return self._engine

    def close(self) -> None:
        """Close the engine, if this process has made one; `get` then makes another. Idempotent."""
        with self._lock:
            engine, self._engine = self._engine, None
        if engine is not None and self._pid == os.getpid():
            engine.close()
