"""The rows of a block as one record batch, column by column, each decoded by its Postgres type.

https://github.com/postgres/postgres/blob/master/src/include/catalog/pg_type.dat
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, takewhile

import numpy as np
import psycopg
import pyarrow as pa

from pgsnow.postgres.copy.json_arrays import ElementType, json_arrays
from pgsnow.postgres.copy.numeric import numerics
from pgsnow.postgres.copy.positions import SPARE, Cells, Even, Numbers, Positions, Uneven
from pgsnow.postgres.copy.scalars import boolean, day, moment, number, uuids, varying

Decode = Callable[[Cells], pa.Array]

NUMERIC = 1700
_UTC = pa.timestamp("us", tz="UTC")
_FIXED: dict[int, tuple[int, Decode]] = {
    16: (1, boolean),
    20: (8, partial(number, kind=pa.int64(), sent=">i8")),
    21: (2, partial(number, kind=pa.int16(), sent=">i2")),
    23: (4, partial(number, kind=pa.int32(), sent=">i4")),
    26: (4, partial(number, kind=pa.uint32(), sent=">u4")),
    700: (4, partial(number, kind=pa.float32(), sent=">f4")),
    701: (8, partial(number, kind=pa.float64(), sent=">f8")),
    1082: (4, day),
    1083: (8, partial(number, kind=pa.time64("us"), sent=">i8")),
    1114: (8, partial(moment, kind=pa.timestamp("us"))),
    1184: (8, partial(moment, kind=_UTC)),
    2950: (16, uuids),
}
"""oid → bytes of each value, decoder: bool, int8, int2, int4, oid, float4, float8, date, time, timestamp, timestamptz,
uuid."""
TEXT = 25
_TEXTS = frozenset({18, 19, TEXT, 114, 705, 1042, 1043})
""""char", name, text, json, unknown, bpchar, varchar: their own bytes."""
_TEXT_ELEMENTS = ElementType(None, None, quoted=True)
JSON_ARRAYS: dict[int, ElementType] = {
    1000: ElementType(boolean, 1, quoted=False),
    1005: ElementType(_FIXED[21][1], 2, quoted=False),
    1007: ElementType(_FIXED[23][1], 4, quoted=False),
    1016: ElementType(_FIXED[20][1], 8, quoted=False),
    2951: ElementType(uuids, 16, quoted=True),
    **dict.fromkeys((1003, 1009, 1014, 1015), _TEXT_ELEMENTS),
}
"""oid of an array's type → how its elements are decoded: bool, int2, int4, int8, uuid; name, text, bpchar, varchar."""
_JSONB = 3802
"""A byte with the version, then text: PostgreSQL source, jsonb_send."""
_LENGTH = 4
_NEGATIVE = 0x80
"""In the first byte of a length: NULL."""


@dataclass(frozen=True, slots=True)
class CopyColumn:
    """One column of a COPY: its name, and its type's oid and modifier as in RowDescription."""

    name: str
    oid: int
    typmod: int = -1

    @property
    def size(self) -> int | None:
        """Bytes of each value, if the type has a fixed size."""
        fixed = _FIXED.get(self.oid)
        return None if fixed is None else fixed[0]

    def decode(self, cells: Cells) -> pa.Array:
        """The column as Arrow; arrays as JSON texts. A type that is not known here becomes binary: its bytes as
        they were sent."""
        if (fixed := _FIXED.get(self.oid)) is not None:
            return fixed[1](cells)
        if self.oid == NUMERIC:
            return numerics(cells, *_precision_and_scale(self.typmod))
        if (elements := JSON_ARRAYS.get(self.oid)) is not None:
            return json_arrays(cells, elements)
        if self.oid == _JSONB:
            return varying(cells, pa.string(), skipped=1)
        return varying(cells, pa.string() if self.oid in _TEXTS else pa.binary())


class MalformedCopy(psycopg.DataError):
    """The rows do not have the structure that the columns announce."""


def batch_of(
    memory: Numbers, fields: Positions, ends: Positions, columns: Sequence[CopyColumn]
) -> pa.RecordBatch:
    """The rows as a record batch. fields: positions in `memory` of each row's first field (its length word); ends: of
    each row's end. Raises MalformedCopy if the fields of a row do not end where the row does."""
    arrays: list[pa.Array] = []
    while rest := columns[len(arrays) :]:
        cells, fields = _next_cells(memory, fields, rest)
        arrays += map(CopyColumn.decode, rest, cells)
    if not _are_same(fields, ends):
        raise MalformedCopy("a row's fields do not end where the row does")
    return pa.RecordBatch.from_arrays(arrays, names=[column.name for column in columns])


def _next_cells(
    memory: Numbers, at: Positions, columns: Sequence[CopyColumn]
) -> tuple[list[Cells], Positions]:
    """The cells of the first columns (at least one), and where the fields of the next one are."""
    size = columns[0].size
    if size is None:
        cells, after = _varying(memory, at)
        return [cells], after
    if isinstance(at, Uneven):
        return _copied(memory, at, columns)
    nulls = at.read(memory, "u1") >= _NEGATIVE
    values = at.moved(_LENGTH)
    if not nulls.any():
        return [Cells(memory, values, None, None)], values.moved(size)
    return [Cells(memory, values, None, nulls)], Uneven(values.listed() + np.where(nulls, 0, size))


def _copied(memory: Numbers, at: Uneven, columns: Sequence[CopyColumn]) -> tuple[list[Cells], Positions]:
    """Values of fixed size that follow one another, up to the first column with NULLs, copied so that those of each
    column have equal distances: to read at scattered positions takes the same time for one byte as for 64."""
    fixed = [column.size or 0 for column in takewhile(lambda column: column.size is not None, columns)]
    ends = [end for end in accumulate(_LENGTH + size for size in fixed) if end <= SPARE]
    width, found = ends[-1], list[Cells]()
    copy = at.read(memory, f"V{width}").view(np.uint8)
    for size, end in zip(fixed, ends, strict=False):
        values = Even(end - size, width, at.count)
        nulls = values.moved(-_LENGTH).read(copy, "u1") >= _NEGATIVE
        if nulls.any():
            return [*found, Cells(copy, values, None, nulls)], Uneven(at.at + end - np.where(nulls, size, 0))
        found.append(Cells(copy, values, None, None))
    return found, at.moved(width)


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


def _precision_and_scale(typmod: int) -> tuple[int, int]:
    """Precision and scale in a numeric typmod; (0, 0) where none is given. PostgreSQL source, numeric.c:
    make_numeric_typmod; the scale is signed since 15."""
    if typmod < 4:
        return 0, 0
    packed = typmod - 4
    return (packed >> 16) & 0xFFFF, ((packed & 0x7FF) ^ 1024) - 1024
