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

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}{PATH}"

    @property
    def answers(self) -> bool:
        """True once the page can be opened."""
        return self._child is not None and self._child.running and accepts(self._port)

    @property
    def ended(self) -> bool:
        return self._child is not None and not self._child.running

    def last_words(self) -> str:
        """The last line of its log."""
        return self._child.last_words(1) if self._child else ""

    def __enter__(self) -> Self:
        argv = [sys.executable, *self._command, "--port", str(self._port)]
        self._child = Child(argv, self._log, env=self._env)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child is not None:
            self._child.stop()
