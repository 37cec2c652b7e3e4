"""TLS before a server that has none: what Postgres does itself when it is asked for TLS, and what a proxy does."""

from __future__ import annotations

import asyncio
import random
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks.certificate import make_certificate
from tests.progress import CEILING

TLS_ASKED = (80877103).to_bytes(4, "big")
"""https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL"""


class Terminator:
    """Passes on what comes to `port` on loopback, to one server. Records of TLS begin and end anywhere."""

    def __init__(self, server: int, tls: ssl.SSLContext) -> None:
        self._server = server
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._clients: set[asyncio.StreamWriter] = set()
        self._sizes = random.Random(7)
        self.cut_after: int | None = None
        """Bytes to a client after which its connection is cut."""
        self.port = 0

    @contextmanager
    def running(self) -> Iterator[Terminator]:
        ready = threading.Event()
        thread = threading.Thread(target=self._run, args=(ready,))
        thread.start()
        try:
            assert ready.wait(CEILING)
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()

    def _run(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        listening = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = listening.sockets[0].getsockname()[1]
        self._loop.call_soon(ready.set)
        self._loop.run_forever()
        listening.close()
        for client in self._clients:
            client.transport.abort()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            if (await reader.readexactly(8))[4:] != TLS_ASKED:
                writer.transport.abort()
                return
            writer.write(b"S")
            await writer.start_tls(self._tls)
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self._server)
            await asyncio.gather(self._to_client(from_server, writer), self._to_server(reader, to_server))

    async def _to_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passed = 0
        while some := await reader.read(self._sizes.choice((1, 5, 100, 8192, 65536))):
            writer.write(some)
            await writer.drain()
            passed += len(some)
            if self.cut_after is not None and passed > self.cut_after:
                break
        writer.close() if self.cut_after is None else writer.transport.abort()

    async def _to_server(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while some := await reader.read(65536):
            writer.write(some)
            await writer.drain()
        writer.close()


@contextmanager
def tls_before(port: int, folder: Path) -> Iterator[Terminator]:
    made = make_certificate(folder)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(made.chain, made.key)
    with Terminator(port, tls).running() as terminator:
        yield terminator
