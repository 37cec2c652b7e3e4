"""Searches a client's stream: plain bytes (Postgres), or HTTP requests whose bodies may be compressed."""

from __future__ import annotations

import re
import zlib

HEAD_END = b"\r\n\r\n"
REQUEST_LINE = re.compile(rb"(?:POST|PUT|GET|DELETE|HEAD|PATCH) \S+ HTTP/1\.[01]\r\n")
LENGTH = re.compile(rb"(?im)^content-length:[ \t]*(\d+)")
COMPRESSED = re.compile(rb"(?im)^content-encoding:[ \t]*gzip")
KEPT = 65_536
"""Number of last bytes of a plain stream that are kept, to find text that spans two chunks."""
EITHER_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32


class RequestReader:
    """One client's stream, chunk by chunk. The Snowflake connector compresses its request bodies (gzip)."""

    def __init__(self) -> None:
        self._pending = b""

    def saw(self, chunk: bytes, wanted: bytes) -> bool:
        """True if `wanted` has come in a request that this chunk completes, or in a stream that is not
        HTTP."""
        self._pending += chunk
        found = False
        while part := self._next_part():
            found = found or wanted in part
        if not REQUEST_LINE.match(self._pending):
            found = found or wanted in self._pending
            self._pending = b"" if found else self._pending[-KEPT:]
        return found

    def _next_part(self) -> bytes | None:
        """Take a complete request, or the bytes before one (the stream may start within a request), off the
        stream."""
        start = REQUEST_LINE.search(self._pending)
        if start is None:
            return None
        if start.start() > 0:
            before, self._pending = self._pending[: start.start()], self._pending[start.start() :]
            return before
        return self._complete_request()

    def _complete_request(self) -> bytes | None:
        head, end, rest = self._pending.partition(HEAD_END)
        length = LENGTH.search(head)
        size = int(length[1]) if length else 0
        if not end or len(rest) < size:
            return None
        self._pending = rest[size:]
        return head + _plain(head, rest[:size])


def _plain(head: bytes, body: bytes) -> bytes:
    if not COMPRESSED.search(head):
        return body
    try:
        return zlib.decompress(body, EITHER_GZIP_OR_ZLIB)
    except zlib.error:
        return body
