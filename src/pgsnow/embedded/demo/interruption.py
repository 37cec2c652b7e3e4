"""Signals during the demo: everything is ended, and nothing is left behind."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from types import FrameType

INTERRUPTING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """SIGINT or SIGTERM: unwinds the stack so that every process is ended. `signum` says which."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


class Interruption:
    """Signal handler that raises Interrupted. Python drops the exception in some places (a callback at a
    fork), so `check` raises it again."""

    def __init__(self) -> None:
        self.signum: int | None = None

    def received(self, number: int, _frame: FrameType | None) -> None:
        for each in INTERRUPTING:
            signal.signal(each, signal.SIG_IGN)
        self.signum = number
        raise Interrupted(number)

    def dropped(self, unraisable: sys.UnraisableHookArgs) -> None:
        """Print no message for a dropped Interrupted, which `check` raises again."""
        if unraisable.exc_type is not Interrupted:
            sys.__unraisablehook__(unraisable)

    def check(self) -> None:
        if self.signum is not None:
            raise Interrupted(self.signum)


@contextlib.contextmanager
def interruptible() -> Iterator[Interruption]:
    """Let signals raise Interrupted, once: a second signal must not interrupt the shutdown of the servers."""
    before = {number: signal.getsignal(number) for number in INTERRUPTING}
    interruption = Interruption()
    for number in INTERRUPTING:
        signal.signal(number, interruption.received)
    sys.unraisablehook = interruption.dropped
    try:
        yield interruption
    finally:
        sys.unraisablehook = sys.__unraisablehook__
        for number, handler in before.items():
            signal.signal(number, handler)
