"""Positions of the rows in a block: each is a CopyData message of `d`, its length, and the number of its fields.

https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-COPYDATA
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct

import numpy as np

from pgsnow.postgres.copy.buffer import Even, Numbers, Positions, Uneven

HEAD = Struct(">BIh")
"""The message's kind, its length without the kind, and in a row the number of its fields."""
ROW = ord("d")
_SAMPLE = 8
_WORD = 8
_PIECE = 64 * 1024
"""Bytes that are searched at once: temporary arrays of more would be allocated from the system each time."""
_LONG_ROW = 600
"""Bytes of a row from which on walking from row to row is cheaper than searching each byte."""


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
