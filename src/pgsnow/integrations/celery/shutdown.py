"""Stops a running tick when its Celery worker shuts down.

A worker's signals reach its main process only: Celery's pool children put SIGTERM back to its default and
ignore SIGINT (celery/concurrency/prefork.py), and a warm shutdown waits for their tasks without a limit,
while the sender of the signal may kill them all after half a minute. So the main process sets a byte in
shared memory, and the process that runs a tick polls it.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

POLL_SECONDS = 0.25

Result = TypeVar("Result")


class SharedFlag:
    """A flag shared by this process and all processes forked later. Once set it stays set."""

    def __init__(self) -> None:
        self._byte = mmap.mmap(-1, 1)

    def set(self) -> None:
        """Safe in a signal handler: one byte, no lock."""
        self._byte[0] = 1

    def __bool__(self) -> bool:
        return self._byte[0] == 1


def run_stoppable(work: Callable[[], Result], stop: Callable[[], None], flag: SharedFlag) -> Result:
    """Run `work()` in a thread and return its result; call `stop()` if the flag is set while it runs.

    An interrupt of this thread (a soft time limit, Ctrl-C) would end the work between two statements. Here it
    calls `stop()`, and is raised after the work has ended. Raises whatever `work()` raises.
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
