"""The server's answer to a COPY, message by message where they are few, block by block where they are rows.

https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-COPY and, of the header and the trailer of the
binary format, https://www.postgresql.org/docs/current/sql-copy.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from struct import Struct

import numpy as np
import psycopg
import pyarrow as pa

from pgsnow.postgres.copy.batch import MalformedCopy, batch_of
from pgsnow.postgres.copy.buffer import SPARE
from pgsnow.postgres.copy.columns import CopyColumn
from pgsnow.postgres.copy.row_frames import HEAD, rows

BLOCK = 2 << 20
"""Bytes that are worked on at once: many rows, and not more than the processor's cache holds."""
LONGEST = (1 << 30) + (1 << 20)
"""Bytes of a message; Postgres makes none of more than 1 GiB."""
_NEARLY = 16 * 1024
"""Bytes that may be missing to a block that is worked on: the server sends 8 KiB at a time."""
_MESSAGE = Struct(">BI")
ENDED = b"Z\0\0\0\5T"
"""ReadyForQuery in a transaction."""
_SIGNATURE = b"PGCOPY\n\xff\r\n\0"
_HEADER = len(_SIGNATURE) + 8
_NO_MORE_ROWS = b"\xff\xff"
_OF_NO_INTEREST = frozenset(b"HcCNSA")
"""CopyOutResponse, CopyDone, CommandComplete; notices, parameters and notifications."""

Receive = Callable[[memoryview], int]
"""Puts what has come into the memory and tells how many bytes; 0: nothing came for a while."""


class ServerError(psycopg.DatabaseError):
    """An ErrorResponse.

    https://www.postgresql.org/docs/current/protocol-error-fields.html"""

    def __init__(self, message: str, sqlstate: str | None) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate

    @classmethod
    def of(cls, said: bytes) -> ServerError:
        """`said`: the message's fields, each a letter and text that ends with a zero byte."""
        fields = {part[:1]: part[1:].decode(errors="replace") for part in said.split(b"\0") if part}
        return cls(fields.get(b"M", "the server refused"), fields.get(b"C"))


def head_of(size: int) -> bytes:
    """What goes before so many bytes in a CopyData message."""
    return _MESSAGE.pack(ord("d"), size + 4)


class CopyResponse:
    """Iterates over the rows in batches of up to about BLOCK bytes; one message may be longer. Read to its end, it has
    consumed all that the server says up to its being ready for the next query.

    Raises Refused as the server says, psycopg.OperationalError when the connection ends, MalformedCopy."""

    def __init__(self, receive: Receive, columns: Sequence[CopyColumn], block: int = BLOCK) -> None:
        self._receive = receive
        self._columns = columns
        self._block = block
        self._memory = np.empty(block + SPARE, np.uint8)
        self._filled = 0
        self._needed = 0
        self._rows_began = False
        self._refused: ServerError | None = None
        self._ended = False

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        while not self._ended:
            try:
                got = self._receive(self._memory.data[self._filled : -SPARE])
            except psycopg.OperationalError:
                yield from self._parsed()
                if self._refused is not None:  # its last word before it hung up
                    break
                raise
            self._filled += got
            if got == 0 or self._is_worth_it():
                yield from self._parsed()
        if self._refused is not None:
            raise self._refused

    def _is_worth_it(self) -> bool:
        if self._filled < self._needed:
            return False
        full = self._filled >= min(self._block - _NEARLY, len(self._memory) - SPARE)
        return full or self._memory[max(self._filled - 6, 0) : self._filled - 1].tobytes() == ENDED[:-1]

    def _parsed(self) -> Iterator[pa.RecordBatch]:
        at, self._needed = 0, 0
        while True:
            found = rows(self._memory, at, self._filled, len(self._columns)) if self._rows_began else None
            if found is not None:
                begin, end = found
                at = end.last
                yield batch_of(self._memory, begin.moved(HEAD.size), end, self._columns)
                continue  # rows of one length may be followed by others
            after = self._message(at)
            if after is None:
                break
            at = after
        self._keep_from(at)

    def _message(self, at: int) -> int | None:
        """What comes after the message here; None if it is not complete."""
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
        said = self._memory[at + _MESSAGE.size : after].tobytes()
        if kind == ord("E"):
            self._refused = ServerError.of(said)
        elif kind == ord("Z"):
            self._ended = True
        elif kind not in _OF_NO_INTEREST:
            raise MalformedCopy(f"a message of kind {kind}")
        return after

    def _data(self, at: int, after: int) -> int:
        """The header goes before the first row in one message: what is left of that is made one of its own."""
        said = at + _MESSAGE.size
        if self._rows_began:
            if self._memory[said:after].tobytes() != _NO_MORE_ROWS:
                raise MalformedCopy("a row with another number of fields")
            return after
        if self._memory[said : said + len(_SIGNATURE)].tobytes() != _SIGNATURE:
            raise MalformedCopy("no COPY in binary format")
        (further,) = Struct(">I").unpack_from(self._memory.data, said + _HEADER - 4)
        self._rows_began = True
        begin = at + _HEADER + int(further)
        if begin + _MESSAGE.size < after:
            _MESSAGE.pack_into(self._memory.data, begin, ord("d"), after - begin - 1)
            return begin
        return after

    def _keep_from(self, at: int) -> None:
        """Moves what is not worked on yet to the beginning, in memory that has room for all of its message."""
        rest = self._memory[at : self._filled]
        room = max(self._needed, self._block)
        if len(self._memory) != room + SPARE:
            memory = np.empty(room + SPARE, np.uint8)
            memory[: len(rest)] = rest
            self._memory = memory
        elif at:
            self._memory[: len(rest)] = rest.copy()
        self._filled = len(rest)
