"""Base class of embedded servers: launch, wait, stop."""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from typing import Self

from pgsnow.embedded.child import Child
from pgsnow.embedded.process import (
    START_SECONDS,
    EmbeddedServerFailed,
    cpu_seconds,
    free_port,
    port_in_use,
    wait_for,
)


class EmbeddedServer(ABC):
    """A server on a loopback port: `start` = `launch` + `wait`.

    `launch` returns as soon as the process runs, so that several servers can start at the same time.
    All methods are idempotent. A port that was not given is chosen at the first launch and kept.
    """

    name: str
    stop_signal: signal.Signals = signal.SIGTERM

    def __init__(self, port: int | None = None) -> None:
        self._fixed_port = port is not None
        self._port = port
        self._child: Child | None = None

    @property
    def port(self) -> int:
        if self._port is None:
            self._port = free_port()
        return self._port

    @property
    def port_is_given(self) -> bool:
        return self._fixed_port

    def prefer_port(self, port: int) -> None:
        """Use this port if it is free at the first launch."""
        if not self._fixed_port:
            self._port = port

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._child.pid if self._child is not None and self._child.running else None

    @abstractmethod
    def _spawn(self) -> Child:
        """Starts the process; does not wait for it."""

    @abstractmethod
    def _ready(self) -> bool:
        """True once it takes requests."""

    def launch(self) -> None:
        """Raises EmbeddedServerFailed when the given port is taken."""
        if self.pid is not None:
            return
        if port_in_use(self.port):
            if self._fixed_port:
                raise EmbeddedServerFailed(
                    f"{self.name}: port {self.port} is in use",
                    advice="Choose another port, or stop what listens on it.",
                )
            self._port = free_port()
        self._child = self._spawn()

    def wait(self, seconds: float = START_SECONDS) -> None:
        """Wait until it answers. Raises EmbeddedServerFailed, with the end of its log, if it ends, or if it does not
        answer and has used no CPU for `seconds`."""
        child = self._child
        if child is None:
            raise EmbeddedServerFailed(f"{self.name} was not launched")
        answered = wait_for(
            lambda: not child.running or self._ready(), seconds, progress=lambda: cpu_seconds(child.pid)
        )
        if not child.running or not answered:
            self.kill()
            raise EmbeddedServerFailed(
                f"{self.name} did not start:\n{child.last_words()}", advice=f"Read {child.log}."
            )

    def start(self) -> Self:
        self.launch()
        self.wait()
        return self

    def stop(self) -> None:
        """Shut it down cleanly: everything committed is on disk."""
        if self._child is not None:
            self._child.stop()

    def kill(self) -> None:
        """Kill it with SIGKILL, as in a crash."""
        if self._child is not None:
            self._child.kill()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
