"""Text and bytes: copied out of the block by Arrow, value by value, without a look at each byte here."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pgsnow.postgres.copy.buffer import Cells
from pgsnow.postgres.copy.scalars import validity


def varying(cells: Cells, kind: pa.DataType, skipped: int = 0) -> pa.Array:
    """kind: pa.string() or pa.binary(). skipped: bytes at the beginning of each value that are not part of it.

    To Arrow the block is an array of what lies between the values, and the values, by turns; every second one is
    taken. Whether text is UTF-8 is not looked at: the server converts it, unless the database is in SQL_ASCII."""
    if cells.sizes is None:
        raise ValueError("values without sizes")
    count = cells.count
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
