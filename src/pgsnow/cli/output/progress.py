"""Progress of a run on stderr: a display on a terminal, else one line for each important step."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from pgsnow.cli.output.screen import stderr
from pgsnow.model.sentences import counted
from pgsnow.sync.runtime.events import Event

TOLD = frozenset({"started", "merged", "chunk", "finished"})


class RunObserver(Protocol):
    """An observer for the engine that may be given the number of tables."""

    def __call__(self, event: Event) -> None:
        """Note an event of a run."""

    def expect(self, tables: int) -> None:
        """The run has this many tables."""


@contextmanager
def progress(*, quiet: bool = False) -> Iterator[RunObserver]:
    """Observer for the engine that shows progress. quiet: shows nothing."""
    if quiet:
        yield ProgressLines(frozenset())
    elif sys.stderr.isatty():
        from pgsnow.cli.output.bars import progress_on_stderr  # slow to load

        with progress_on_stderr() as shown:
            yield shown
    else:
        yield ProgressLines()


class ProgressLines:
    """Observer that writes one line for each of these steps. Tables without changes have no line."""

    def __init__(self, told: frozenset[str] = TOLD) -> None:
        self._told = told
        self._console = stderr()
        self._lock = threading.Lock()

    def expect(self, tables: int) -> None:
        """Needs no number."""

    def __call__(self, event: Event) -> None:
        if event.phase not in self._told or (event.phase, event.detail) == ("finished", "idle"):
            return
        rows = f" {counted(event.rows, 'row')}" if event.rows else ""
        detail = f" ({event.detail})" if event.detail else ""
        with self._lock:
            self._console.print(f"{event.table}: {event.phase}{rows}{detail}", soft_wrap=True)
