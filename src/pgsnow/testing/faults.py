"""Scripted faults: observers for `Engine(observer=...)` that fail or die at a named phase of a run.

The phases are those of pgsnow.sync.runtime.events: read, put, copied, inserted, merged, checkpointed and so
on.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn, Protocol


class Happening(Protocol):
    """The fields of an event that faults use."""

    @property
    def phase(self) -> str: ...

    @property
    def table(self) -> str: ...


@dataclass
class AtPhase:
    """Calls `act` when the phase is reached for the nth time (1 is the first), of one table or of any.

    It fires once; `fired` says whether it has. Any thread may call.
    """

    phase: str
    act: Callable[[], object]
    nth: int = 1
    table: str | None = None
    seen: int = field(default=0, init=False)
    fired: bool = field(default=False, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def __call__(self, event: Happening) -> None:
        if self._is_due(event):
            self.act()

    def _is_due(self, event: Happening) -> bool:
        if event.phase != self.phase or self.table not in (None, event.table):
            return False
        with self._lock:
            self.seen += 1
            due = self.seen == self.nth
            self.fired = self.fired or due
        return due


class KillAt(AtPhase):
    """Kills this process with SIGKILL: nothing is cleaned up, no handler runs."""

    def __init__(self, phase: str, nth: int = 1, *, table: str | None = None) -> None:
        super().__init__(phase, _kill_myself, nth, table)


class RaiseAt(AtPhase):
    """Raises `error` at the phase, as if its step had failed right after its work was done."""

    def __init__(self, phase: str, error: BaseException, nth: int = 1, *, table: str | None = None) -> None:
        super().__init__(phase, lambda: _raise(error), nth, table)


class PauseAt(AtPhase):
    """Pauses the run at the phase until `resume()`; `reached` is set once the run is there.

    After `seconds` it raises TimeoutError, so that a test without `resume()` fails with a clear error.
    """

    def __init__(self, phase: str, nth: int = 1, *, table: str | None = None, seconds: float = 300.0) -> None:
        super().__init__(phase, self._hold, nth, table)
        self.reached = threading.Event()
        self._resumed = threading.Event()
        self._seconds = seconds

    def resume(self) -> None:
        self._resumed.set()

    def _hold(self) -> None:
        self.reached.set()
        if not self._resumed.wait(self._seconds):
            raise TimeoutError(f"the run was paused at {self.phase!r} and not resumed")


def _kill_myself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _raise(error: BaseException) -> NoReturn:
    raise error
