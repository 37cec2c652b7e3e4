"""Scan of a column's JSON texts for those that a VARIANT may not hold exactly."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pgsnow.model.types.mapping import Field
from pgsnow.model.types.variant import LONG_NUMBER, SUSPECT

_FOLDED = bytes.maketrans(b"123456789.", b"0000000000")
_LONG = 39
_STRIDE = 13


def rows_to_inspect(field: Field, texts: pa.Array) -> list[int]:
    """Indexes of rows whose JSON must be parsed to be sure; every row that a VARIANT does not hold exactly is among
    them. `texts` are strings.

    jsonb holds its numbers as numeric and its text in the database's encoding, so that only long numbers do
    not fit: for those the whole column's bytes are scanned at once first.
    https://www.postgresql.org/docs/current/datatype-json.html"""
    plain = field.type.plain_json
    if plain and not _may_be_long(_sample(texts)):
        return []
    found = pc.match_substring_regex(texts, LONG_NUMBER if plain else SUSPECT).fill_null(False)
    rows: list[int] = pc.indices_nonzero(found).to_pylist()
    return rows


def _sample(texts: pa.Array) -> bytes:
    """Every _STRIDE-th byte of all values, one after another."""
    _validity, offsets, data = texts.buffers()
    if data is None or len(texts) == 0:
        return b""
    ends = memoryview(offsets).cast("i")
    start, end = ends[texts.offset], ends[texts.offset + len(texts)]
    return np.frombuffer(data, np.uint8)[start:end:_STRIDE].tobytes()


def _may_be_long(sample: bytes) -> bool:
    """True if there may be a number of _LONG digits. Such a run of digits and points fills _LONG / _STRIDE
    consecutive bytes of the sample."""
    return b"0" * (_LONG // _STRIDE) in sample.translate(_FOLDED)
