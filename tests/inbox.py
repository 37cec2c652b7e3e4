"""An HTTP server that receives messages, as scripted: it accepts, refuses, asks to wait, redirects, or is silent."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.world import MemoryWorld

SECRET = "T000-s3cr3t"
"""Part of the address of every receiver."""


@dataclass
class Inbox:
    """What has arrived: the paths of GET requests, the headers and bodies of POST requests, in order. answers: the next
    answers to POST requests (status, headers), 200 if there is none. While `hold` is clear, no request is answered."""

    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    answers: deque[tuple[int, dict[str, str]]] = field(default_factory=deque)
    hold: threading.Event = field(default_factory=threading.Event)
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    @property
    def titles(self) -> list[str]:
        return [body["title"] for body in self.bodies]


@contextmanager
def inbox() -> Iterator[Inbox]:
    """A server of its own for the length of the block."""
    found = Inbox()
    found.hold.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found.bodies.append(body)
            found.headers.append(dict(self.headers))
            self._answer(*(found.answers.popleft() if found.answers else (200, {})))

        def do_GET(self) -> None:
            found.paths.append(self.path)
            self._answer(200, {})

        def _answer(self, status: int, headers: dict[str, str]) -> None:
            found.arrived.release()
            found.hold.wait()
            self.send_response(status)
            for name, value in {"Content-Length": "0", **headers}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        found.hold.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def receiver() -> Iterator[Inbox]:
    with inbox() as found:
        yield found


@pytest.fixture
def alerted(memory_world: MemoryWorld, receiver: Inbox) -> MemoryWorld:
    """A world whose alerts go to the receiver."""
    memory_world.options["alerts"] = {"to": [{"url": f"{receiver.url}/{SECRET}"}]}
    return memory_world
