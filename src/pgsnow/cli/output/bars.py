"""Progress bars for a terminal. progress.py imports this module only on a terminal: rich's bars are slow to
load."""

from __future__ import annotations

import threading

from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from pgsnow.cli.output.screen import stderr
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
    "finished": "done",
}


def bars_on_stderr() -> Progress:
    return Progress(
        SpinnerColumn(finished_text="✓"),
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[rows]:>10,} rows"),
        TextColumn("{task.fields[step]}"),
        TimeElapsedColumn(),
        console=stderr(),
        transient=True,
    )


class Bars:
    """Observer with one bar for each table. A bar pulses, because the number of rows is unknown; a backfill's
    fills."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}
        self._rows: dict[str, int] = {}
        self._backfills: dict[str, str] = {}
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        with self._lock:
            task = self._tasks.get(event.table)
            if task is None:
                task = self._bars.add_task(event.table, total=None, rows=0, step="starting")
                self._tasks[event.table] = task
            if event.phase == "page":
                self._rows[event.table] = self._rows.get(event.table, 0) + event.rows
            step = STEPS.get(event.phase, event.phase)
            if event.phase == "chunk":
                self._bars.update(task, total=event.of, completed=event.done)
                self._backfills[event.table] = event.detail
            if event.table in self._backfills:
                step = f"{step}, chunk {self._backfills[event.table]}"
            self._bars.update(task, rows=self._rows.get(event.table, 0), step=step)
            if event.phase == "finished":
                self._bars.update(task, total=1, completed=1, step=STEPS["finished"])
