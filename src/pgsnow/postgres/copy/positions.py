"""Positions in a block of memory: of the rows in it, and of one field of each row.

Each row is a CopyData message of `d`, its length, and the number of its fields:
https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-COPYDATA
"""

from __future__ import annotations

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
_SAMPLED = 8192
"""Bytes from which the length of a row is estimated."""
_LANES, _ROWS_OF_LANE = 32, 32
"""Lanes from which on walking in lanes is cheaper, and rows of one. More lanes need fewer steps, but more of the block
is searched for their beginnings."""
_WINDOW = 2
"""Rows in which the beginning of one is searched."""
_LONG_ROW = 2000
"""Bytes of a row from which on walking from row to row is cheaper."""


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
    at = _in_lanes(memory, start, end, fields)
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


def _in_lanes(memory: Numbers, start: int, end: int, fields: int) -> Numbers | None:
    """Positions as of `_walked`, found by walking from several rows at once: in each step from all of them to the next.

    Each lane begins at what looks like a row, and ends where the next lane begins. The first one begins at a row, so
    if each ends exactly there, every position is a row's. None if one does not, or if there are too few rows."""
    sample = _walked(memory, start, min(start + _SAMPLED, end), fields)
    size = int(sample[-1] - sample[0]) // max(len(sample) - 1, 1)
    span = size * _ROWS_OF_LANE
    if not 0 < size < _LONG_ROW or end - start < _LANES * span:
        return None
    begins = _beginnings(memory, start, end, span, min(_WINDOW * size, span), fields)
    if len(begins) < _LANES:
        return None
    found = _steps(memory, begins)
    if found is None:
        return None
    lengths = np.append(found[1:], begins[-1]) - found - 1
    heads = Uneven(found).read(memory, ">u8").astype(np.int64) >> 8
    if not (heads == (lengths << 16) + (ROW << 48 | fields)).all():
        return None
    return np.concatenate([found, _walked(memory, int(begins[-1]), end, fields)])


def _steps(memory: Numbers, begins: Numbers) -> Numbers | None:
    """The positions between the lanes' beginnings, each as the length before it says; None if there are far too many
    for rows."""
    lengths: Numbers = np.ndarray((len(memory) - 4,), ">u4", memory, 1, (1,))
    at, limits = begins[:-1], begins[1:]
    steps: list[Numbers] = []
    while len(steps) <= 4 * _ROWS_OF_LANE:
        steps.append(at)
        at = lengths[at] + at
        at += 1
        np.minimum(at, limits, out=at)
        if len(steps) >= _ROWS_OF_LANE and (at == limits).all():
            found = np.stack(steps, axis=1)
            return found[found < limits[:, np.newaxis]]
    return None


def _beginnings(memory: Numbers, start: int, end: int, span: int, window: int, fields: int) -> Numbers:
    """`start`, and in the first `window` bytes of each further span the first position that looks like a row which is
    followed by a row; spans without one are left out."""
    count = (end - start - HEAD.size - window) // span
    first = memory[start + span :]
    kinds, low = (
        np.lib.stride_tricks.as_strided(first[by:], (count, window), (span, 1), writeable=False)
        for by in (0, 6)
    )
    alike = kinds == ROW
    alike &= low == fields % 256
    lanes, offsets = np.divmod(np.flatnonzero(alike.ravel()), window)
    at = start + span * (lanes + 1) + offsets
    after = at + 1 + Uneven(at + 1).read(memory, ">i4")
    fits = (after > at) & (after <= end - HEAD.size)
    at, after, lanes = at[fits], after[fits], lanes[fits]
    rows = _looks_like_row(memory, at, fields) & _looks_like_row(memory, after, fields)
    first = np.diff(lanes[rows], prepend=-1) > 0
    return np.append(start, at[rows][first])


def _looks_like_row(memory: Numbers, at: Numbers, fields: int) -> Numbers:
    alike: Numbers = (
        (memory.take(at) == ROW)
        & (memory.take(at + 6) == fields % 256)
        & (memory.take(at + 5) == fields // 256)
    )
    return alike
