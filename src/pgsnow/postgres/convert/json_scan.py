"""Which JSON texts of a column are worth a closer look: of jsonb first the whole column's bytes at once."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from pgsnow.model.types.mapping import Field
from pgsnow.model.types.variant import LONG_NUMBER, SUSPECT

_FOLDED = bytes.maketrans(b"123456789.", b"0000000000")
_LONG = 39
_STRIDE = 13


def suspects(field: Field, texts: pa.Array) -> list[int]:
    """Rows, among them each whose JSON a VARIANT does not hold exactly. `texts` are strings.

    jsonb keeps numeric, and text in the database's encoding; so what is made of it is plain.
    https://www.postgresql.org/docs/current/datatype-json.html"""
    plain = field.type.plain_json
    if plain and not _may_be_long(_bytes_of(texts)):
        return []
    found = pc.match_substring_regex(texts, LONG_NUMBER if plain else SUSPECT).fill_null(False)
    rows: list[int] = pc.indices_nonzero(found).to_pylist()
    return rows


def _bytes_of(texts: pa.Array) -> bytes:
    """All values one after another."""
    _validity, offsets, data = texts.buffers()
    if data is None or len(texts) == 0:
        return b""
    ends = memoryview(offsets).cast("i")
    start, end = ends[texts.offset], ends[texts.offset + len(texts)]
    return bytes(memoryview(data)[start:end])


def _may_be_long(data: bytes) -> bool:
    """A run of _LONG digits and points shows in every _STRIDE-th byte as _LONG / _STRIDE of them in a row."""
    return b"0" * (_LONG // _STRIDE) in data[::_STRIDE].translate(_FOLDED)
