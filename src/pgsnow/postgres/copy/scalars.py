"""Values of a fixed size: numbers, booleans, dates and times. Sent as their send functions do, high byte first."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pgsnow.postgres.copy.buffer import Cells, Numbers

EPOCH_MICROSECONDS = 946_684_800_000_000
EPOCH_DAYS = 10_957
"""2000-01-01, where Postgres counts from, since 1970-01-01, where Arrow does."""


def validity(cells: Cells) -> tuple[pa.Buffer | None, int]:
    """Arrow's bitmap of what is there, and the number of NULLs."""
    if cells.nulls is None:
        return None, 0
    return bits(~cells.nulls), int(cells.nulls.sum())


def bits(flags: Numbers) -> pa.Buffer:
    return pa.py_buffer(np.packbits(flags, bitorder="little"))


def array_of(kind: pa.DataType, cells: Cells, data: pa.Buffer) -> pa.Array:
    bitmap, nulls = validity(cells)
    return pa.Array.from_buffers(kind, cells.count, [bitmap, data], nulls)


def number(cells: Cells, kind: pa.DataType, sent: str) -> pa.Array:
    """sent: numpy's dtype of it on the wire, such as `>i8`."""
    return array_of(kind, cells, pa.py_buffer(_native(cells, sent)))


def moment(cells: Cells, kind: pa.DataType) -> pa.Array:
    """Microseconds since 1970. Infinity, and what is further away than 64 bits reach, wraps around."""
    found = _native(cells, ">i8")
    found += EPOCH_MICROSECONDS
    return array_of(kind, cells, pa.py_buffer(found))


def day(cells: Cells) -> pa.Array:
    """Days since 1970. Infinity wraps around."""
    found = _native(cells, ">i4")
    found += np.int32(EPOCH_DAYS)
    return array_of(pa.date32(), cells, pa.py_buffer(found))


def boolean(cells: Cells) -> pa.Array:
    return array_of(pa.bool_(), cells, bits(cells.read("u1") != 0))


def _native(cells: Cells, sent: str) -> Numbers:
    return cells.read(sent).astype(np.dtype(sent).newbyteorder("="))
