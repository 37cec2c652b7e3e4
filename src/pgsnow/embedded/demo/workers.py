"""Celery worker and beat of the demo, as separate processes, as in production."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from pgsnow.embedded.child import Child
from pgsnow.model.errors import PgsnowError

CONCURRENCY = 2
STOP_SECONDS = 30.0


class WorkerEnded(PgsnowError):
    """The demo's worker or beat ended by itself."""

    exit_code = 2


class Workers:
    """A worker with CONCURRENCY pool processes, and a beat; a context manager that ends both.

    Start it from a thread that lives as long as they do (see pgsnow.embedded.child).
    """

    def __init__(self, app: str, env: Mapping[str, str], folder: Path) -> None:
        """app: the module of the Celery application. folder: for logs and the beat's own state."""
        self._app = app
        self._env = {**os.environ, **env}
        self._folder = folder
        self._children: dict[str, Child] = {}

    def __enter__(self) -> Self:
        schedule = ["--schedule", str(self._folder / "celerybeat-schedule")]
        self._spawn("worker", ["--concurrency", str(CONCURRENCY), "--without-mingle", "--without-gossip"])
        self._spawn("beat", schedule)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def check(self) -> None:
        """Raises WorkerEnded, with the last lines of its log."""
        for name, child in self._children.items():
            if not child.running:
                raise WorkerEnded(
                    f"the {name} ended by itself:\n{child.last_words()}", advice=f"See {child.log}."
                )

    def stop(self) -> None:
        """Stop beat, then the worker, so that no tick is sent to a worker that is shutting down. Idempotent."""
        for name in ("beat", "worker"):
            if child := self._children.pop(name, None):
                child.stop(STOP_SECONDS)
                _end_group(child.pid)

    def _spawn(self, name: str, options: list[str]) -> None:
        argv = [sys.executable, "-m", "celery", "-A", self._app, name, "--loglevel", "INFO", *options]
        log = self._folder / f"{name}.log"
        # A worker's warm shutdown never ends without its broker, which ends with the demo as well.
        self._children[name] = Child(argv, log, env=self._env, orphan_signal=signal.SIGKILL)


def _end_group(pid: int) -> None:
    """Kill the pool processes of a worker that had to be killed; they are in its session."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
