"""The status page that the demo serves while it runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from pgsnow.embedded.child import Child
from pgsnow.embedded.process import accepts, free_port

PATH = "/sync/"


class PageServer:
    """A process that serves the page on a free port of this machine; a context manager that ends it.

    Start it from a thread that lives as long as it does (see pgsnow.embedded.child). The demo goes on if it ends.
    """

    def __init__(self, command: Sequence[str], env: Mapping[str, str], folder: Path) -> None:
        """command: arguments of Python that serve the page, without the port. folder: for its log."""
        self._command = command
        self._env = {**os.environ, **env}
        self._log = folder / "page.log"
        self._port = free_port()
        self._child: Child | None = None
        self._is_announced = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}{PATH}"

    @property
    def answers(self) -> bool:
        """True once the page can be opened."""
        return self._child is not None and self._child.running and accepts(self._port)

    def news(self) -> str | None:
        """Where the page is, or why there is none, once; None: it is still starting, or this was said."""
        if self._is_announced or self._child is None:
            return None
        self._is_announced = not self._child.running or self.answers
        if not self._is_announced:
            return None
        return f"status page: {self.url}" if self._child.running else f"no status page: {self._reason()}"

    def _reason(self) -> str:
        """The error in its log, without the usage of the command around it."""
        lines = self._child.last_words().splitlines() if self._child else []
        return next((line for line in lines if line.startswith("error")), lines[-1] if lines else "it ended")

    def __enter__(self) -> Self:
        argv = [sys.executable, *self._command, "--port", str(self._port)]
        self._child = Child(argv, self._log, env=self._env)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child is not None:
            self._child.stop()
