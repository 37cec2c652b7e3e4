"""The server's response to a COPY: rows are decoded block by block, the few other messages one by one.

https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-COPY; header and trailer of the binary format:
https://www.postgresql.org/docs/current/sql-copy.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from struct import Struct

import numpy as np
import psycopg
import pyarrow as pa

from pgsnow.postgres.copy.batch import CopyColumn, MalformedCopy, batch_of
from pgsnow.postgres.copy.positions import HEAD, SPARE, Even, find_rows

BLOCK = 4 << 20
"""Bytes that are decoded at once. Rows of different lengths cost some thousand calls of numpy and Arrow a block,
whatever its size. If all have the same length, few calls do, and half as much is decoded at once, which stays in the
processor's cache."""
LONGEST = (1 << 30) + (1 << 20)
"""Most bytes of a message; Postgres makes none of more than 1 GiB."""
_NEARLY = 16 * 1024
"""Bytes that may be missing from a block that is decoded: the server sends 8 KiB at a time."""
_MESSAGE = Struct(">BI")
ENDED = b"Z\0\0\0\5T"
"""ReadyForQuery in a transaction."""
_SIGNATURE = b"PGCOPY\n\xff\r\n\0"
_HEADER = len(_SIGNATURE) + 8
_NO_MORE_ROWS = b"\xff\xff"
_IGNORED = frozenset(b"HcCNSA")
"""CopyOutResponse, CopyDone, CommandComplete; notices, parameters and notifications."""

Receive = Callable[[memoryview], int]
"""CopyChannel.receive of copy_out.py."""


class ServerError(psycopg.DatabaseError):
    """An ErrorResponse of the server, with its SQLSTATE.

    https://www.postgresql.org/docs/current/protocol-error-fields.html"""

    def __init__(self, message: str, sqlstate: str | None, context: str | None = None) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate
        self.context = context
        """Where in a function, or on which foreign server, the error was raised; None: in the statement itself."""

    @classmethod
    def of(cls, body: bytes) -> ServerError:
        """From the message's body: fields of a letter and a text that ends with a zero byte each."""
        fields = {part[:1]: part[1:].decode(errors="replace") for part in body.split(b"\0") if part}
        message = fields.get(b"M", "the server reported an error without a message")
        return cls(message, fields.get(b"C"), fields.get(b"W"))


def head_of(size: int) -> bytes:
    """The head of a CopyData message with `size` bytes of data."""
    return _MESSAGE.pack(ord("d"), size + 4)


class CopyResponse:
    """Iterates over the rows in batches of up to about `block` bytes; one row may be longer. Read to its end, it has
    consumed all messages up to and including ReadyForQuery.

    Raises ServerError as the server reports it, psycopg.OperationalError when the connection ends, MalformedCopy."""

    def __init__(self, receive: Receive, columns: Sequence[CopyColumn], block: int = BLOCK) -> None:
        self._receive = receive
        self._columns = columns
        self._block = block
        self._enough = block // 2
        self._memory = np.empty(block + SPARE, np.uint8)
        self._filled = 0
        self._needed = 0
        self._in_rows = False
        self._error: ServerError | None = None
        self._ended = False

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        while not self._ended:
            try:
                got = self._receive(self._memory.data[self._filled : max(self._enough, self._needed)])
            except psycopg.OperationalError:
                yield from self._parsed()
                if self._error is not None:  # sent before the connection ended
                    break
                raise
            self._filled += got
            if got == 0 or self._is_ready():
                yield from self._parsed()
        if self._error is not None:
            raise self._error

    def _is_ready(self) -> bool:
        """True if the block is full or the response complete."""
        if self._filled < self._needed:
            return False
        full = self._filled >= self._enough - _NEARLY
        return full or self._memory[max(self._filled - 6, 0) : self._filled - 1].tobytes() == ENDED[:-1]

    def _parsed(self) -> Iterator[pa.RecordBatch]:
        at, self._needed = 0, 0
        while True:
            found = find_rows(self._memory, at, self._filled, len(self._columns)) if self._in_rows else None
            if found is not None:
                begin, end = found
                at = end.last
                self._enough = self._block // 2 if isinstance(begin, Even) else self._block
                yield batch_of(self._memory, begin.moved(HEAD.size), end, self._columns)
                continue  # rows of one length may be followed by others
            after = self._message(at)
            if after is None:
                break
            at = after
        self._keep_from(at)

    def _message(self, at: int) -> int | None:
        """Handle the message at this position; where the next one begins, or None if it is not complete."""
        if self._filled - at < _MESSAGE.size:
            return None
        kind, length = _MESSAGE.unpack_from(self._memory.data, at)
        if length < 4 or length > LONGEST:
            raise MalformedCopy(f"a message of {length} bytes")
        after = at + 1 + int(length)
        if after > self._filled:
            self._needed = after - at
            return None
        if kind == ord("d"):
            return self._data(at, after)
        body = self._memory[at + _MESSAGE.size : after].tobytes()
        if kind == ord("E"):
            self._error = ServerError.of(body)
        elif kind == ord("Z"):
            self._ended = True
        elif kind not in _IGNORED:
            raise MalformedCopy(f"a message of kind {kind}")
        return after

    def _data(self, at: int, after: int) -> int:
        """Handle a CopyData message that is no row: the header, or the trailer. The header comes in one
        message with the first row, which is made a message of its own."""
        body = at + _MESSAGE.size
        if self._in_rows:
            if self._memory[body:after].tobytes() != _NO_MORE_ROWS:
                raise MalformedCopy("a row with another number of fields")
            return after
        if self._memory[body : body + len(_SIGNATURE)].tobytes() != _SIGNATURE:
            raise MalformedCopy("no COPY in binary format")
        (further,) = Struct(">I").unpack_from(self._memory.data, body + _HEADER - 4)
        self._in_rows = True
        begin = at + _HEADER + int(further)
        if begin + _MESSAGE.size < after:
            _MESSAGE.pack_into(self._memory.data, begin, ord("d"), after - begin - 1)
            return begin
        return after

    def _keep_from(self, at: int) -> None:
        """Move what is not decoded yet to the beginning of memory that has room for its whole message."""
        rest = self._memory[at : self._filled]
        room = max(self._needed, self._block)
        if len(self._memory) != room + SPARE:
            memory = np.empty(room + SPARE, np.uint8)
            memory[: len(rest)] = rest
            self._memory = memory
        elif at:
            self._memory[: len(rest)] = rest.copy()
        self._filled = len(rest)
