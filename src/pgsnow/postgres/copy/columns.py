"""What a COPY's columns are, by the oids of Postgres's own types, and how each becomes Arrow.

https://github.com/postgres/postgres/blob/master/src/include/catalog/pg_type.dat
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pyarrow as pa

from pgsnow.postgres.copy.buffer import Cells
from pgsnow.postgres.copy.numeric import numerics
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
_TEXTS = frozenset({18, 19, 25, 114, 705, 1042, 1043})
""""char", name, text, json, unknown, bpchar, varchar: their own bytes."""
_JSONB = 3802
"""A byte that tells the version, then text: PostgreSQL source, jsonb_send."""


@dataclass(frozen=True, slots=True)
class CopyColumn:
    """One column of a COPY: its name, its type's oid and modifier as RowDescription tells them."""

    name: str
    oid: int
    typmod: int = -1

    @property
    def size(self) -> int | None:
        """Bytes of each value, if they are as many for all."""
        fixed = _FIXED.get(self.oid)
        return None if fixed is None else fixed[0]

    def decode(self, cells: Cells) -> pa.Array:
        """A type that is not known here comes as binary: its bytes as they were sent."""
        if (fixed := _FIXED.get(self.oid)) is not None:
            return fixed[1](cells)
        if self.oid == NUMERIC:
            return numerics(cells, *_precision_and_scale(self.typmod))
        if self.oid == _JSONB:
            return varying(cells, pa.string(), skipped=1)
        return varying(cells, pa.string() if self.oid in _TEXTS else pa.binary())


def _precision_and_scale(typmod: int) -> tuple[int, int]:
    """(0, 0) where none is given. PostgreSQL source, numeric.c: make_numeric_typmod; the scale is signed since 15."""
    if typmod < 4:
        return 0, 0
    packed = typmod - 4
    return (packed >> 16) & 0xFFFF, ((packed & 0x7FF) ^ 1024) - 1024
