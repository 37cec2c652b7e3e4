"""uuid: sixteen bytes on the wire, 36 characters in Arrow."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pgsnow.postgres.copy.buffer import Cells
from pgsnow.postgres.copy.scalars import validity

_SIZE = 36
_HEX = np.frombuffer("".join(f"{byte:02x}" for byte in range(256)).encode(), np.uint16)
_PARTS = ((0, 4, 0), (4, 6, 9), (6, 8, 14), (8, 10, 19), (10, 16, 24))
"""Bytes from, to, and where their digits begin."""


def uuids(cells: Cells) -> pa.Array:
    """Lower case, as Postgres writes them."""
    count = cells.count
    sent = np.empty((count, 2), np.uint64)
    sent[:, 0] = cells.read("<u8")
    sent[:, 1] = cells.values.moved(8).read(cells.memory, "<u8")
    pairs = _HEX.take(sent.view(np.uint8))
    text = np.full((count, _SIZE), ord("-"), np.uint8)
    for start, end, at in _PARTS:
        text[:, at : at + 2 * (end - start)] = pairs[:, start:end].copy().view(np.uint8)
    edges = np.arange(0, _SIZE * (count + 1), _SIZE, dtype=np.int32)
    bitmap, nulls = validity(cells)
    return pa.Array.from_buffers(pa.string(), count, [bitmap, pa.py_buffer(edges), pa.py_buffer(text)], nulls)
