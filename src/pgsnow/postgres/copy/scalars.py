"""Decoding of numbers, booleans, dates, times, uuids, text and bytes into Arrow arrays. The wire has the high
byte first."""

from __future__ import annotations

from binascii import hexlify
from typing import Any

import numpy as np
import pyarrow as pa

from pgsnow.postgres.copy.positions import Cells, Numbers

EPOCH_MICROSECONDS = 946_684_800_000_000
EPOCH_DAYS = 10_957
"""2000-01-01, where Postgres counts from, since 1970-01-01, where Arrow does."""

_SIZE = 36
_SHORT = 256
"""Bytes up to which values of equal size are read in one go."""


def _parts(size: int, starts: tuple[int, ...]) -> np.dtype[Any]:
    """The digits of a uuid in a text of this size, in parts that begin there."""
    formats = ["u8", "u4", "u4", "u4", "u8", "u4"]
    return np.dtype({"names": list("abcdef"), "formats": formats, "offsets": starts, "itemsize": size})


_DIGITS = _parts(32, (0, 8, 12, 16, 20, 28))
_WITH_DASHES = _parts(_SIZE, (0, 9, 14, 19, 24, 32))


def validity(cells: Cells) -> tuple[pa.Buffer | None, int]:
    """Arrow's validity bitmap (None: no NULLs), and the number of NULLs."""
    if cells.nulls is None:
        return None, 0
    return bits(~cells.nulls), int(cells.nulls.sum())


def bits(flags: Numbers) -> pa.Buffer:
    """Booleans as Arrow's bitmap."""
    return pa.py_buffer(np.packbits(flags, bitorder="little"))


def array_of(kind: pa.DataType, cells: Cells, data: pa.Buffer) -> pa.Array:
    """An array of values of fixed size, with the NULLs of `cells`."""
    bitmap, nulls = validity(cells)
    return pa.Array.from_buffers(kind, cells.count, [bitmap, data], nulls)


def number(cells: Cells, kind: pa.DataType, sent: str) -> pa.Array:
    """Numbers of this type. sent: their numpy dtype on the wire, such as `>i8`."""
    return array_of(kind, cells, pa.py_buffer(_native(cells, sent)))


def moment(cells: Cells, kind: pa.DataType) -> pa.Array:
    """Microseconds since 1970. Infinity, and moments beyond 64 bits, wrap around."""
    found = _native(cells, ">i8")
    found += EPOCH_MICROSECONDS
    return array_of(kind, cells, pa.py_buffer(found))


def day(cells: Cells) -> pa.Array:
    """Days since 1970. Infinity wraps around."""
    found = _native(cells, ">i4")
    found += np.int32(EPOCH_DAYS)
    return array_of(pa.date32(), cells, pa.py_buffer(found))


def boolean(cells: Cells) -> pa.Array:
    """Booleans: a byte each on the wire."""
    return array_of(pa.bool_(), cells, bits(cells.read("u1") != 0))


def uuids(cells: Cells) -> pa.Array:
    """Texts of 36 characters in lower case, as Postgres writes them."""
    count = cells.count
    sent = np.empty((count, 2), np.uint64)
    sent[:, 0] = cells.read("<u8")
    sent[:, 1] = cells.values.moved(8).read(cells.memory, "<u8")
    digits = np.frombuffer(hexlify(sent.data), _DIGITS)
    text = np.full(count * _SIZE, ord("-"), np.uint8)
    parts = text.view(_WITH_DASHES)
    for part in _DIGITS.names or ():
        parts[part] = digits[part]
    edges = np.arange(0, _SIZE * (count + 1), _SIZE, dtype=np.int32)
    bitmap, nulls = validity(cells)
    return pa.Array.from_buffers(pa.string(), count, [bitmap, pa.py_buffer(edges), pa.py_buffer(text)], nulls)


def varying(cells: Cells, kind: pa.DataType, skipped: int = 0) -> pa.Array:
    """Text or bytes, copied out of the block by Arrow. kind: pa.string() or pa.binary(). skipped: bytes at
    the beginning of each value that are not part of it.

    The block is handed to Arrow as an array that alternates gaps and values, of which every second element is taken.
    UTF-8 is not validated: the server converts text, unless the database's encoding is SQL_ASCII."""
    if cells.sizes is None:
        raise ValueError("values without sizes")
    count = cells.count
    if count and cells.nulls is None and (size := _only_size(cells.sizes, skipped)):
        data = np.ascontiguousarray(cells.values.moved(skipped).read(cells.memory, f"V{size}"))
        same = np.arange(0, size * (count + 1), size, dtype=np.int32)
        return pa.Array.from_buffers(
            kind, count, [None, pa.py_buffer(same), pa.py_buffer(data.view(np.uint8))]
        )
    edges = np.empty(2 * count + 1, np.int32)
    starts = cells.values.listed() + skipped
    edges[0:-1:2] = starts
    ends = starts + cells.sizes - skipped
    edges[1::2] = ends if cells.nulls is None or not skipped else np.maximum(starts, ends)
    edges[-1] = edges[-2]
    by_turns = pa.Array.from_buffers(kind, 2 * count, [None, pa.py_buffer(edges), pa.py_buffer(cells.memory)])
    values = by_turns.take(pa.array(np.arange(0, 2 * count, 2, dtype=np.int32)))
    bitmap, nulls = validity(cells)
    if not nulls:
        return values
    return pa.Array.from_buffers(kind, count, [bitmap, *values.buffers()[1:]], nulls)


def _only_size(sizes: Numbers, skipped: int) -> int | None:
    """The size without `skipped` bytes, if all values have the same and a short one; else None."""
    size = int(sizes[0]) - skipped
    return size if 0 < size <= _SHORT and (sizes == sizes[0]).all() else None


def _native(cells: Cells, sent: str) -> Numbers:
    return cells.read(sent).astype(np.dtype(sent).newbyteorder("="))
