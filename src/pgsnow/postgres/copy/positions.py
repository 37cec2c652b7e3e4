"""Positions in a block of memory: of the rows in it, and of one field of each row.

Each row is a CopyData message of `d`, its length, and the number of its fields:
https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-COPYDATA
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[Any]
SPARE = 64
"""Bytes at the end of a block that hold no rows: a read at the position of a NULL, which is discarded, may
reach them."""
HEAD = Struct(">BIh")
"""The message's kind, its length without the kind, and in a row the number of its fields."""
ROW = ord("d")
_SAMPLE = 8
_WORD = 8
_PIECE = 64 * 1024
"""Bytes that are searched at once: temporary arrays of more would be allocated from the system each time."""
_LONG_ROW = 600
"""Bytes of a row from which on walking from row to row is cheaper than searching each byte."""


@dataclass(frozen=True, slots=True)
class Even:
    """Positions at equal distances: they need no array."""

    first: int
    step: int
    count: int

    def read(self, memory: Numbers, kind: str) -> Numbers:
        """The number of this numpy dtype at each position; a view, not a copy."""
        found: Numbers = np.ndarray((self.count,), kind, memory, self.first, (self.step,))
        return found

    @property
    def last(self) -> int:
        return self.first + self.step * (self.count - 1)

    def moved(self, by: int) -> Even:
        return Even(self.first + by, self.step, self.count)

    def listed(self) -> Numbers:
        return np.arange(self.count, dtype=np.int64) * self.step + self.first


@dataclass(frozen=True, slots=True)
class Uneven:
    """Positions as an ascending int64 array."""

    at: Numbers

    @property
    def count(self) -> int:
        return len(self.at)

    @property
    def last(self) -> int:
        return int(self.at[-1])

    def read(self, memory: Numbers, kind: str) -> Numbers:
        """The number of this numpy dtype at each position. Numbers may overlap and need no alignment."""
        size = np.dtype(kind).itemsize
        if size == 1:
            return memory.take(self.at)
        everywhere: Numbers = np.ndarray((len(memory) - size + 1,), kind, memory, 0, (1,))
        return everywhere[self.at]

    def moved(self, by: int) -> Uneven:
        return Uneven(self.at + by)

    def listed(self) -> Numbers:
        return self.at


Positions = Even | Uneven


@dataclass(frozen=True, slots=True)
class Cells:
    """One column's values in a block. values: where each begins. sizes: bytes of each, where the type has no
    fixed size. nulls: which are NULL (None: none)."""

    memory: Numbers
    values: Positions
    sizes: Numbers | None
    nulls: Numbers | None

    @property
    def count(self) -> int:
        return self.values.count

    def read(self, kind: str) -> Numbers:
        return self.values.read(self.memory, kind)


def find_rows(memory: Numbers, start: int, end: int, fields: int) -> tuple[Positions, Positions] | None:
    """The complete rows between `start` and `end`, the first of them at `start`: positions of their messages'
    beginnings and ends. None if there is no row at `start`. Stops at a message that is no row with `fields`
    fields."""
    first = _length(memory, start, end, fields)
    if first is None:
        return None
    if found := _equally_long(memory, start, end, first):
        return found, found.moved(first)
    at = _searched(memory, start, end, fields) if first < _LONG_ROW else None
    if at is None:
        at = _walked(memory, start, end, fields)
    return Uneven(at[:-1]), Uneven(at[1:])


def _length(memory: Numbers, at: int, end: int, fields: int) -> int | None:
    """Bytes of the message at this position, if it is a complete row."""
    if at + HEAD.size > end:
        return None
    kind, length, count = HEAD.unpack_from(memory.data, at)
    whole = kind == ROW and count == fields and at + 1 + length <= end
    return 1 + length if whole else None


def _equally_long(memory: Numbers, start: int, end: int, length: int) -> Even | None:
    """All rows, if they have the same length."""
    count = (end - start) // length
    head = bytes(memory[start : start + HEAD.size])
    if count < _SAMPLE or not _same(memory, start, _SAMPLE, length, head):
        return None
    return Even(start, length, count) if _same(memory, start, count, length, head) else None


def _same(memory: Numbers, start: int, count: int, length: int, head: bytes) -> bool:
    heads = Even(start, length, count).read(memory, "<u8") & np.uint64(2**56 - 1)
    return bool((heads == np.uint64(int.from_bytes(head, "little"))).all())


def _walked(memory: Numbers, at: int, end: int, fields: int) -> Numbers:
    """Positions found by walking from row to row: each message's beginning, and the last one's end."""
    found, last, unpack = [at], end - HEAD.size, HEAD.unpack_from
    view = memory.data
    while at <= last:
        kind, length, count = unpack(view, at)
        at += 1 + length
        if kind != ROW or count != fields or at > end:
            break
        found.append(at)
    return np.array(found, np.int64)


def _searched(memory: Numbers, start: int, end: int, fields: int) -> Numbers | None:
    """Positions found by search: all that look like a row's beginning, if each row ends where the next begins. None if
    not: some value looks like a row's beginning, too."""
    at = np.concatenate(list(_candidates(memory, start, end - HEAD.size + 1, fields)))
    ends = at + 1 + Uneven(at + 1).read(memory, ">i4")
    if not (ends[:-1] == at[1:]).all() or ends[-1] < at[-1]:
        return None
    return np.append(at, ends[-1]) if ends[-1] <= end else at


def _candidates(memory: Numbers, start: int, end: int, fields: int) -> Iterator[Numbers]:
    """Positions from `start` to before `end` that look like a row's beginning, piece by piece."""
    alike, counted = np.empty(_PIECE, bool), np.empty(_PIECE, bool)
    low, high = fields % 256, fields // 256
    for first in range(start, end, _PIECE):
        count = min(_PIECE, end - first)
        np.equal(memory[first : first + count], ROW, out=alike[:count])
        np.equal(memory[first + 6 : first + 6 + count], low, out=counted[:count])
        alike[:count] &= counted[:count]
        alike[count:] = False
        at = _set_flags(alike) + first
        yield at[memory.take(at + 5) == high]


def _set_flags(flags: Numbers) -> Numbers:
    """Indexes of the flags that are set, for few of them: word by word first."""
    words = np.flatnonzero(flags.view(np.uint64) != 0)
    inner = np.flatnonzero(flags.reshape(-1, _WORD)[words].ravel())
    found: Numbers = words[inner // _WORD] * _WORD + inner % _WORD
    return found
