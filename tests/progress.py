"""Waiting that follows what is waited for, not the clock: a slow machine makes a test slow, and never fails it.

A wait ends at once when its condition holds, so its limits cost nothing; they only turn a hang into a failure.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import Any

CEILING = 600.0
"""Seconds after which nothing is coming any more, however busy the machine is."""
PATIENCE = 240.0
"""Seconds without any progress, where progress can be seen."""
PAUSE = 0.05


def wait_until(
    condition: Callable[[], object],
    what: str | Callable[[], str],
    *,
    progress: Callable[[], object] | None = None,
    pause: float = PAUSE,
) -> None:
    """Until the condition holds. `what`: told when it does not, in the end.

    progress: any value that changes while the thing that is watched goes on, such as a count of rows or the size of a
    log. With it the wait lasts as long as the value keeps changing; without it, for CEILING seconds.
    """
    seen, allowed = None, CEILING if progress is None else PATIENCE
    deadline = time.monotonic() + allowed
    while not condition():
        if progress is not None and (now := progress()) != seen:
            seen, deadline = now, time.monotonic() + allowed
        if time.monotonic() > deadline:
            raise AssertionError(f"it did not happen: {what if isinstance(what, str) else what()}")
        time.sleep(pause)


def exit_code(process: subprocess.Popen[Any]) -> int:
    """Of a process that ends by itself."""
    return process.wait(CEILING)
