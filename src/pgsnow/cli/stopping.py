"""SIGINT and SIGTERM during a run: finish the current load unit, then end as the shell expects."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from pgsnow.cli.screen import say

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped:
    """Which signal arrived, if any."""

    signum: int | None = None


@contextmanager
def stopping(stop: Callable[[], None]) -> Iterator[Stopped]:
    """The first signal calls `stop` (which must be signal-safe); a second one ends the process as ever."""
    stopped = Stopped()
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def received(number: int, _frame: FrameType | None) -> None:
        stopped.signum = number
        restore()
        say("stopping after the current load unit (once more: at once)")
        stop()

    for number in SIGNALS:
        signal.signal(number, received)
    try:
        yield stopped
    finally:
        restore()
