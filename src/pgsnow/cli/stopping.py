"""Handling of SIGINT and SIGTERM during a run: finish the current load batch, then exit."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

NOTICE = b"stopping after the current load batch (press again to stop at once)\n"
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped:
    """The signal that arrived, or None."""

    signum: int | None = None


@contextmanager
def stopping(stop: Callable[[], None]) -> Iterator[Stopped]:
    """The first signal calls `stop` (which must be signal-safe); a second one has its usual effect."""
    stopped = Stopped()
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def received(number: int, _frame: FrameType | None) -> None:
        stopped.signum = number
        restore()
        os.write(sys.stderr.fileno(), NOTICE)  # sys.stderr may be interrupted in the middle of a write
        stop()

    for number in SIGNALS:
        signal.signal(number, received)
    try:
        yield stopped
    finally:
        restore()
