"""Where the rows are: each is a CopyData message, `d`, its length, the number of its fields.

https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-COPYDATA
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct

import numpy as np

from pgsnow.postgres.copy.buffer import Even, Numbers, Positions, Uneven

HEAD = Struct(">BIh")
"""Kind of the message, its length from here on without the kind, and of a row the number of its fields."""
ROW = ord("d")
_SAMPLE = 8
_WORD = 8
_PIECE = 64 * 1024
"""Bytes that are looked at together: memory for more is asked of the system, and given back, each time."""
_LONG_ROW = 600
"""Bytes from which on walking from row to row is cheaper than looking at each byte."""


def rows(memory: Numbers, start: int, end: int, fields: int) -> tuple[Positions, Positions] | None:
    """The rows that are complete between `start` and `end`, the first of them at `start`: where each message begins,
    and where it ends. None if there is no row there. Stops at a message that is no row of so many fields."""
    first = _length(memory, start, end, fields)
    if first is None:
        return None
    if found := _even(memory, start, end, first):
        return found, found.moved(first)
    at = _looked_for(memory, start, end, fields) if first < _LONG_ROW else None
    if at is None:
        at = _walked(memory, start, end, fields)
    return Uneven(at[:-1]), Uneven(at[1:])


def _length(memory: Numbers, at: int, end: int, fields: int) -> int | None:
    """Of the message here in bytes, if it is a row and complete."""
    if at + HEAD.size > end:
        return None
    kind, length, count = HEAD.unpack_from(memory.data, at)
    whole = kind == ROW and count == fields and at + 1 + length <= end
    return 1 + length if whole else None


def _even(memory: Numbers, start: int, end: int, length: int) -> Even | None:
    """All of them, if they are of one length."""
    count = (end - start) // length
    head = bytes(memory[start : start + HEAD.size])
    if count < _SAMPLE or not _same(memory, start, _SAMPLE, length, head):
        return None
    return Even(start, length, count) if _same(memory, start, count, length, head) else None


def _same(memory: Numbers, start: int, count: int, length: int, head: bytes) -> bool:
    heads = Even(start, length, count).read(memory, "<u8") & np.uint64(2**56 - 1)
    return bool((heads == np.uint64(int.from_bytes(head, "little"))).all())


def _walked(memory: Numbers, at: int, end: int, fields: int) -> Numbers:
    """From row to row. Each message's beginning, and the last one's end."""
    found, last, unpack = [at], end - HEAD.size, HEAD.unpack_from
    view = memory.data
    while at <= last:
        kind, length, count = unpack(view, at)
        at += 1 + length
        if kind != ROW or count != fields or at > end:
            break
        found.append(at)
    return np.array(found, np.int64)


def _looked_for(memory: Numbers, start: int, end: int, fields: int) -> Numbers | None:
    """All that looks like a row's beginning, if each is followed by the next; else values look like it, too."""
    at = np.concatenate(list(_alike(memory, start, end - HEAD.size + 1, fields)))
    ends = at + 1 + Uneven(at + 1).read(memory, ">i4")
    if not (ends[:-1] == at[1:]).all() or ends[-1] < at[-1]:
        return None
    return np.append(at, ends[-1]) if ends[-1] <= end else at


def _alike(memory: Numbers, start: int, end: int, fields: int) -> Iterator[Numbers]:
    """Places from `start` to before `end` that look like a row's beginning, piece by piece."""
    alike, counted = np.empty(_PIECE, bool), np.empty(_PIECE, bool)
    low, high = fields % 256, fields // 256
    for first in range(start, end, _PIECE):
        count = min(_PIECE, end - first)
        np.equal(memory[first : first + count], ROW, out=alike[:count])
        np.equal(memory[first + 6 : first + 6 + count], low, out=counted[:count])
        alike[:count] &= counted[:count]
        alike[count:] = False
        at = _set_ones(alike) + first
        yield at[memory.take(at + 5) == high]


def _set_ones(flags: Numbers) -> Numbers:
    """Where they are set, when few are: word by word first."""
    words = np.flatnonzero(flags.view(np.uint64) != 0)
    inner = np.flatnonzero(flags.reshape(-1, _WORD)[words].ravel())
    found: Numbers = words[inner // _WORD] * _WORD + inner % _WORD
    return found
