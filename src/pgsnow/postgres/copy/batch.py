"""A block's rows as one record batch, column by column."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import psycopg
import pyarrow as pa

from pgsnow.postgres.copy.buffer import Cells, Even, Numbers, Positions, Uneven
from pgsnow.postgres.copy.columns import CopyColumn

_LENGTH = 4
_NEGATIVE = 0x80
"""In the first byte of a length: no value, NULL."""


class MalformedCopy(psycopg.DataError):
    """The rows are not made as the columns say."""


def batch_of(
    memory: Numbers, fields: Positions, ends: Positions, columns: Sequence[CopyColumn]
) -> pa.RecordBatch:
    """fields: where each row's first field begins with its length. Raises MalformedCopy if the fields of a row do
    not end where the row does."""
    arrays = []
    for column in columns:
        cells, fields = (
            _varying(memory, fields) if column.size is None else _fixed(memory, fields, column.size)
        )
        arrays.append(column.decode(cells))
    if not _are_same(fields, ends):
        raise MalformedCopy("a row's fields do not end where the row does")
    return pa.RecordBatch.from_arrays(arrays, names=[column.name for column in columns])


def _fixed(memory: Numbers, at: Positions, size: int) -> tuple[Cells, Positions]:
    nulls = at.read(memory, "u1") >= _NEGATIVE
    values = at.moved(_LENGTH)
    if not nulls.any():
        return Cells(memory, values, None, None), values.moved(size)
    after = Uneven(values.listed() + np.where(nulls, 0, size))
    return Cells(memory, values, None, nulls), after


def _varying(memory: Numbers, at: Positions) -> tuple[Cells, Positions]:
    sizes = at.read(memory, ">i4").astype(np.int64)
    values = at.moved(_LENGTH)
    smallest, largest = int(sizes.min()), int(sizes.max())
    nulls = None
    if smallest < 0:
        nulls = sizes < 0
        sizes = np.maximum(sizes, 0)
    cells = Cells(memory, values, sizes, nulls)
    if smallest == largest and smallest >= 0:
        return cells, values.moved(smallest)
    return cells, Uneven(values.listed() + sizes)


def _are_same(one: Positions, other: Positions) -> bool:
    if isinstance(one, Even) and isinstance(other, Even):
        return one == other
    return bool((one.listed() == other.listed()).all())
