"""How a tick learns that its worker shuts down.

A worker's signals reach its main process only: Celery's pool children put SIGTERM back to its default and
ignore SIGINT (celery/concurrency/prefork.py), and a warm shutdown waits for their tasks for ever, while
whoever sent the signal may kill them all after half a minute. So the main process sets a byte of memory that
its children share, and the process that runs a tick looks at it.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

POLL_SECONDS = 0.25

Result = TypeVar("Result")


class SharedFlag:
    """A flag seen by this process and all that it forks from now on. It is set once and stays set."""

    def __init__(self) -> None:
        self._byte = mmap.mmap(-1, 1)

    def set(self) -> None:
        """Safe in a signal handler: one byte, no lock."""
        self._byte[0] = 1

    def __bool__(self) -> bool:
        return self._byte[0] == 1


def run_stoppable(work: Callable[[], Result], stop: Callable[[], None], flag: SharedFlag) -> Result:
    """What `work()` returns or raises; `stop()` is called when the flag is set before it has ended.

    The work runs in a thread, because whatever interrupts this one (a soft time limit, Ctrl-C) would
    otherwise tear it apart between two statements: here it asks the work to stop, waits for it, and only then
    goes on up.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="pgsnow-tick") as pool:
        running = pool.submit(work)
        try:
            while not wait([running], timeout=POLL_SECONDS).done:
                if flag:
                    stop()
        except BaseException:
            stop()
            raise
        return running.result()
