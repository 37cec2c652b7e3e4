"""TCP proxy between pgsnow and a server that fails on command."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, Self

from pgsnow.testing.behaviour import Behaviour
from pgsnow.testing.requests import RequestReader

CHUNK = 65_536
LOOK_SECONDS = 0.02


@dataclass(eq=False)
class _Link:
    """A client's connection and the connection to the server that belongs to it."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    requests: RequestReader = field(default_factory=RequestReader)
    held: bool = False
    lost: bool = False
    asked: bool = False
    """A request has come, and no byte of its reply yet."""

    def abort(self) -> None:
        for writer in (self.client, self.server):
            writer.transport.abort()


class FaultProxy:
    """TCP proxy that listens on 127.0.0.1:`port` and forwards to the upstream server, in a separate thread.

    Methods may be called from any thread and have taken effect when they return.
    """

    def __init__(self, upstream_port: int, upstream_host: str = "127.0.0.1", port: int = 0) -> None:
        self._upstream = (upstream_host, upstream_port)
        self.port = port
        self.bytes_passed = 0
        """Both ways, all connections, so far."""
        self.accepted = 0
        """Connections that clients made so far."""
        self.tripped = 0
        """Requests that were refused, or whose reply was lost, so far."""
        self._skipped = 0
        self._behaviour = Behaviour()
        self._counted_from = 0
        self._links: set[_Link] = set()
        self._holding = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)
        self._server: asyncio.Server | None = None

    def start(self) -> Self:
        self._thread.start()
        self._call(self._listen())
        return self

    def stop(self) -> None:
        """Resets all connections and ends the thread. Idempotent."""
        if not self._thread.is_alive():
            return
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def behave(self, **changes: Any) -> None:
        """Change the behaviour of all connections, open and future; fields that are not named keep their
        values."""
        self._call(self._set(replace(self._behaviour, **changes)))

    def heal(self) -> None:
        """Forward everything again, held replies included."""
        self._call(self._set(Behaviour()))
        self.release()

    def reset(self) -> None:
        """Resets every open connection (TCP RST), both halves."""
        self._call(self._reset())

    def release(self) -> None:
        """Forward the held replies."""
        self._call(self._release())

    def wait_until_holding(self, seconds: float = 300.0) -> bool:
        """True once a reply to a request with the given bytes is held; False after `seconds`."""
        return self._holding.wait(seconds)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(300)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        await self._reset()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _set(self, behaviour: Behaviour) -> None:
        if behaviour.cut_after != self._behaviour.cut_after:
            self._counted_from = self.bytes_passed
        if behaviour.wanted != self._behaviour.wanted or behaviour.skip != self._behaviour.skip:
            self._holding.clear()
            self._skipped = 0
        self._behaviour = behaviour

    async def _reset(self) -> None:
        for link in list(self._links):
            link.abort()

    async def _release(self) -> None:
        self._holding.clear()
        for link in self._links:
            link.held = False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self._behaviour.refuse:
            writer.transport.abort()
            return
        try:
            server_reader, server_writer = await asyncio.open_connection(*self._upstream)
        except OSError:
            writer.transport.abort()
            return
        link = _Link(writer, server_writer)
        self._links.add(link)
        try:
            await asyncio.gather(
                self._pump(reader, server_writer, link, self._look_at_request),
                self._pump(server_reader, writer, link, self._hold_reply),
            )
        except (OSError, asyncio.CancelledError):  # the latter when the proxy stops; asyncio would log it
            pass
        finally:
            self._links.discard(link)
            link.abort()

    async def _pump(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        link: _Link,
        before: Callable[[_Link, bytes], Coroutine[Any, Any, None]],
    ) -> None:
        while data := await source.read(CHUNK):
            await self._delay(len(data))
            await before(link, data)
            if self._is_cut(len(data)):
                sink.write(data[: len(data) // 2])
                await self._reset()
                return
            sink.write(data)
            await sink.drain()
        with contextlib.suppress(OSError):
            sink.write_eof()

    async def _delay(self, size: int) -> None:
        while self._behaviour.blackhole:
            await asyncio.sleep(LOOK_SECONDS)
        await asyncio.sleep(
            self._behaviour.latency + (size / self._behaviour.rate if self._behaviour.rate else 0)
        )

    def _is_cut(self, size: int) -> bool:
        self.bytes_passed += size
        limit = self._behaviour.cut_after
        if limit is None or self.bytes_passed - self._counted_from < limit:
            return False
        self._behaviour = replace(self._behaviour, cut_after=None)
        return True

    async def _look_at_request(self, link: _Link, data: bytes) -> None:
        link.asked = True
        chosen = self._behaviour
        if chosen.wanted is None or not link.requests.saw(data, chosen.wanted):
            return
        if self._skipped < chosen.skip:
            self._skipped += 1
        elif chosen.hold_replies is not None:
            link.held = True
        elif chosen.hold_request is not None:
            self._behaviour = replace(chosen, hold_request=None)
            link.held = True
            await self._hold(link)
        else:
            self._behaviour = replace(chosen, refuse_request=None, lose_reply=None)
            self.tripped += 1
            link.lost = True
            if chosen.refuse_request is not None:
                link.abort()
                raise ConnectionResetError

    async def _hold_reply(self, link: _Link, _data: bytes) -> None:
        if link.lost:
            link.abort()
            raise ConnectionResetError
        if link.asked:
            link.asked = False
            await asyncio.sleep(self._behaviour.reply_delay)
        if link.held:
            await self._hold(link)

    async def _hold(self, link: _Link) -> None:
        self._holding.set()
        while link.held:
            await asyncio.sleep(LOOK_SECONDS)
