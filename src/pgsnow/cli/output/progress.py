"""Progress of a run on stderr: bars on a terminal, else one line for each step."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pgsnow.cli.output.screen import stderr
from pgsnow.model.sentences import counted
from pgsnow.sync.runtime.events import Event, Observer, ignore

TOLD = frozenset({"started", "merged", "chunk", "finished"})


@contextmanager
def progress(*, quiet: bool = False) -> Iterator[Observer]:
    """Observer for the engine that shows progress. quiet: shows nothing."""
    if quiet:
        yield ignore
    elif sys.stderr.isatty():
        from pgsnow.cli.output.bars import Bars, bars_on_stderr  # slow to load

        with bars_on_stderr() as bars:
            yield Bars(bars)
    else:
        yield ProgressLines()


class ProgressLines:
    """Observer that writes one line for each important step."""

    def __init__(self) -> None:
        self._console = stderr()
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        if event.phase not in TOLD:
            return
        rows = f" {counted(event.rows, 'row')}" if event.rows else ""
        detail = f" ({event.detail})" if event.detail else ""
        with self._lock:
            self._console.print(f"{event.table}: {event.phase}{rows}{detail}", soft_wrap=True)
