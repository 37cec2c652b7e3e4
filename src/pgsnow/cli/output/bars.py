"""Progress of a run on a terminal: one line for all tables, and one for each table that is being loaded.
progress.py imports this module only on a terminal."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.text import Text

from pgsnow.cli.output.layout import shortened
from pgsnow.cli.output.screen import stderr
from pgsnow.model.duration import clock_text
from pgsnow.sync.runtime.events import Event

STEPS = {
    "started": "reading",
    "page": "reading",
    "written": "uploading",
    "put": "copying",
    "copied": "merging",
    "inserted": "merging",
    "merged": "merged",
    "chunk": "saved",
    "checkpointed": "saved",
}
MOST_BUSY = 8
"""Tables in view at once; further ones are counted."""
BAR = 8
"""Characters of a backfill's bar."""
REDRAWS_A_SECOND = 8


@dataclass(slots=True)
class BusyTable:
    """A table that is being loaded."""

    name: str
    began: float
    rows: int = 0
    step: str = "reading"
    done: int = 0
    of: int = 0
    """Chunks of the backfill that are loaded, and all of them; 0 without one."""


@dataclass
class RunProgress:
    """Observer that knows which tables are done and which are being loaded. Thread-safe.

    total: number of tables of the run; 0: not known yet. Tables without changes emit `finished` alone.
    """

    total: int = 0
    began: float = field(default_factory=time.monotonic)
    _busy: dict[str, BusyTable] = field(default_factory=dict)
    _done: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def expect(self, tables: int) -> None:
        self.total = tables

    def __call__(self, event: Event) -> None:
        with self._lock:
            if event.phase == "finished":
                self._busy.pop(event.table, None)
                self._done.add(event.table)
                return
            table = self._busy.get(event.table)
            if table is None:
                table = self._busy[event.table] = BusyTable(event.table, time.monotonic())
            if event.phase == "page":
                table.rows += event.rows
            if event.phase == "chunk":
                table.done, table.of = event.done, event.of
            table.step = STEPS.get(event.phase, table.step)

    def lines(self, width: int, height: int, now: float) -> list[Text]:
        """The lines of one frame: `12 of 81 · 3 loading · 0:42`, then the tables that have been loading longest."""
        with self._lock:
            busy = sorted(self._busy.values(), key=lambda table: table.began)
            done = len(self._done)
        total = max(self.total, done + len(busy))
        parts = [
            f"{done} of {total}" if total else "starting",
            *([f"{len(busy)} loading"] if busy else []),
            clock_text(now - self.began),
        ]
        room = max(1, min(MOST_BUSY, height - 3))
        shown = busy[:room]
        lines = [Text(" · ".join(parts), style="bold"), *self._table_lines(shown, width, now)]
        if rest := len(busy) - len(shown):
            lines.append(Text(f"  … and {rest} more", style="dim"))
        return lines

    def _table_lines(self, shown: list[BusyTable], width: int, now: float) -> Iterator[Text]:
        if not shown:
            return
        digits = max(len(f"{table.rows:,}") for table in shown)
        tails = [_tail(table, digits, now) for table in shown]
        room = max(8, width - 4 - max(map(len, tails)))
        names = [shortened(table.name, room) for table in shown]
        column = max(map(len, names))
        for name, tail in zip(names, tails, strict=True):
            yield Text.assemble("  ", (f"{name:<{column}}", "cyan"), f"  {tail}")


def _tail(table: BusyTable, digits: int, now: float) -> str:
    text = f"{table.rows:>{digits},} rows  {table.step:<9}  {clock_text(now - table.began):>5}"
    if not table.of:
        return text
    filled = BAR * table.done // table.of
    return f"{text}  {'━' * filled}{'╌' * (BAR - filled)} {table.done} of {table.of} chunks"


class _Drawing:
    """Draws the current frame whenever the display is redrawn."""

    def __init__(self, progress: RunProgress, console: Console) -> None:
        self._progress, self._console = progress, console

    def __rich__(self) -> Text:
        size = self._console.size
        return Text("\n").join(self._progress.lines(size.width, size.height, time.monotonic()))


@contextmanager
def progress_on_stderr() -> Iterator[RunProgress]:
    """An observer whose state is shown on stderr until the end; then nothing of it stays."""
    console, progress = stderr(), RunProgress()
    with Live(
        _Drawing(progress, console), console=console, transient=True, refresh_per_second=REDRAWS_A_SECOND
    ):
        yield progress
