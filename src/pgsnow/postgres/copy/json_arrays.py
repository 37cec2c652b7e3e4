"""Decoding of arrays into JSON texts, exactly as Postgres's to_json writes them.

On the wire: number of dimensions, flags, the elements' oid; length and lower bound of each dimension; the elements,
each with its length (-1: NULL). PostgreSQL source, array_send, array_to_json.

Rows with more elements than nearly all others, and those with several dimensions, are decoded one by one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from pgsnow.postgres.copy.positions import SPARE, Cells, Numbers, Uneven
from pgsnow.postgres.copy.scalars import validity, varying

Decode = Callable[[Cells], pa.Array]

_HEAD = Struct(">iiI")
_DIMENSION = Struct(">ii")
_LENGTH = Struct(">i")
_FLAT = _HEAD.size + _DIMENSION.size
"""Bytes before the first element of an array with one dimension."""
_FIRST_LENGTH = _HEAD.size
_FEW, _MANY = 16, 64
"""Up to _FEW rows of a block are decoded one by one if they have more than _MANY elements, and more than all others."""
_QUOTE, _BACKSLASH, _SPACE = 0x22, 0x5C, 0x20
_EMPTY, _NOTHING = 8, 9
"""Indexes in `_marks`."""


class MalformedArray(psycopg.DataError):
    """An array whose elements do not end where its value does."""


@dataclass(frozen=True, slots=True)
class ElementType:
    """How the elements of an array are decoded. decode: into numbers, booleans or texts. size: bytes of each; None: the
    bytes are the text itself. quoted: JSON strings."""

    decode: Decode | None
    size: int | None
    quoted: bool


@dataclass(frozen=True, slots=True)
class _Elements:
    """The elements of all rows in their order: where each begins, its bytes (-1: NULL). ends: of each row; the row's
    first element is `ends[row] - counts[row]`."""

    starts: Numbers
    sizes: Numbers
    counts: Numbers
    ends: Numbers

    @property
    def nulls(self) -> Numbers | None:
        missing = self.sizes < 0
        return missing if missing.any() else None


def json_arrays(cells: Cells, kind: ElementType) -> pa.Array:
    """The arrays as a string array of JSON texts. Raises MalformedArray."""
    if cells.sizes is None:
        raise ValueError("values without sizes")
    dimensions, counts, odd = _shapes(cells)
    elements, reached = _walk(cells, np.where(odd, 0, counts))
    regular = ~odd if cells.nulls is None else ~(odd | cells.nulls)
    head = np.where(dimensions == 0, _HEAD.size, reached - cells.values.listed())
    if (head[regular] != cells.sizes[regular]).any():
        raise MalformedArray("the elements of an array do not end where its value does")
    texts = _texts(cells, elements, kind)
    if not odd.any():
        return texts
    places = cells.values.listed()[odd].tolist()
    others = pa.array([_text_of(cells.memory, at, kind) for at in places], pa.binary())
    return pc.replace_with_mask(texts, pa.array(odd), others.view(pa.string()))


def _shapes(cells: Cells) -> tuple[Numbers, Numbers, Numbers]:
    """For each row the number of dimensions, the length of the first (0 if there is none), and whether it is
    decoded alone."""
    heads = np.ascontiguousarray(cells.read(f"V{_FLAT}")).view(">i4").reshape(cells.count, -1)
    dimensions = heads[:, 0].astype(np.int64)
    if cells.nulls is not None:
        dimensions[cells.nulls] = 0
    counts = np.where(dimensions == 0, 0, heads[:, _FIRST_LENGTH // 4]).astype(np.int64)
    odd = dimensions > 1
    counts[odd] = 0
    if int(counts.max()) > _MANY:
        others = int(np.partition(counts, -_FEW)[-_FEW]) if cells.count > _FEW else 0
        odd |= counts > max(others, _MANY)
    return dimensions, counts, odd


def _walk(cells: Cells, counts: Numbers) -> tuple[_Elements, Numbers]:
    """The elements of arrays with one dimension, and where each row's last element ends."""
    ends = np.cumsum(counts)
    firsts, total = ends - counts, int(ends[-1])
    starts, sizes = np.empty(total, np.int64), np.empty(total, np.int64)
    reached = cells.values.listed() + _FLAT
    limit = len(cells.memory) - SPARE
    fewest, most = int(counts.min()), int(counts.max())
    for number in range(most):
        rows = slice(None) if number < fewest else np.flatnonzero(counts > number)
        at = reached[rows]
        if int(at.max()) > limit:
            raise MalformedArray("an array's elements are longer than its value")
        found = Uneven(at).read(cells.memory, ">i4").astype(np.int64)
        places = slice(number, None, most) if fewest == most else firsts[rows] + number
        starts[places], sizes[places] = at + 4, found
        reached[rows] = at + 4 + np.maximum(found, 0)
    return _Elements(starts, sizes, counts, ends), reached


def _texts(cells: Cells, elements: _Elements, kind: ElementType) -> pa.Array:
    if kind.decode is not None:
        decoded = kind.decode(_element_cells(cells.memory, elements, kind))
        return _joined(cells, decoded.cast(pa.string()), elements, quoted=kind.quoted)
    sizes = np.maximum(elements.sizes, 0)
    texts = _joined_from(cells, cells.memory, elements.starts, sizes, elements, quoted=True)
    written = _bytes_of(texts)
    if _is_plain(written, 2 * int((elements.sizes >= 0).sum())):
        return texts
    values = varying(Cells(cells.memory, Uneven(elements.starts), sizes, elements.nulls), pa.string())
    codes = np.flatnonzero(np.bincount(written)).tolist()
    for code in reversed(codes):  # the backslash is the highest
        if code in (_QUOTE, _BACKSLASH) or code < _SPACE:
            values = pc.replace_substring(values, chr(code), json.dumps(chr(code))[1:-1])
    return _joined(cells, values, elements, quoted=True)


def _bytes_of(texts: pa.Array) -> Numbers:
    """The bytes of all values of a string array without an offset."""
    _validity, edges, data = texts.buffers()
    used = int(np.frombuffer(edges, np.int32)[len(texts)])
    return np.frombuffer(data, np.uint8)[:used] if used else np.empty(0, np.uint8)


def _element_cells(memory: Numbers, elements: _Elements, kind: ElementType) -> Cells:
    nulls = elements.nulls
    present = elements.sizes if nulls is None else elements.sizes[~nulls]
    if (present != kind.size).any():
        raise MalformedArray("an element of an array has another size than its type")
    return Cells(memory, Uneven(elements.starts), None, nulls)


def _is_plain(written: Numbers, quotes: int) -> bool:
    """True if no quote but those around the elements, and nothing else that JSON escapes, is among these bytes."""
    if len(written) == 0:
        return True
    return (
        int(written.min()) >= _SPACE
        and np.count_nonzero(written == _QUOTE) == quotes
        and not (written == _BACKSLASH).any()
    )


def _joined(cells: Cells, values: pa.Array, elements: _Elements, *, quoted: bool) -> pa.Array:
    edges = np.frombuffer(values.buffers()[1], np.int32)[: len(values) + 1].astype(np.int64)
    data = np.concatenate([_bytes_of(values), np.empty(SPARE, np.uint8)])
    sizes = np.where(elements.sizes < 0, 0, np.diff(edges))
    return _joined_from(cells, data, edges[:-1], sizes, elements, quoted=quoted)


def _joined_from(
    cells: Cells, data: Numbers, starts: Numbers, sizes: Numbers, elements: _Elements, *, quoted: bool
) -> pa.Array:
    """The JSON texts of the rows: pieces of `data` with brackets, commas and quotes between them, which are written
    into its last SPARE bytes. One call of Arrow copies all pieces, one behind the other."""
    total, rows = len(starts), cells.count
    marks = _marks(quoted)
    bounds = np.cumsum([len(data) - SPARE, *map(len, marks)])
    data[bounds[0] : bounds[-1]] = np.frombuffer(b"".join(marks), np.uint8)
    edges = np.empty(2 * total + len(bounds), np.int32)
    edges[0 : 2 * total : 2] = starts
    edges[1 : 2 * total : 2] = starts + sizes
    edges[2 * total :] = bounds
    pieces = pa.Array.from_buffers(
        pa.string(), len(edges) - 1, [None, pa.py_buffer(edges), pa.py_buffer(data)]
    )
    opening, closing = _chosen_marks(elements, cells.nulls)
    order = np.empty(2 * total + rows, np.int32)
    slots = np.arange(0, 2 * total, 2)
    at = slots + np.repeat(np.arange(rows), elements.counts)
    order[at], order[at + 1] = opening + 2 * total, slots
    last = 2 * elements.ends + np.arange(rows)
    order[last] = closing + 2 * total
    written = pieces.take(pa.array(order))
    ends = np.zeros(rows + 1, np.int32)
    ends[1:] = np.frombuffer(written.buffers()[1], np.int32)[last + 1]
    bitmap, nulls = validity(cells)
    return pa.Array.from_buffers(pa.string(), rows, [bitmap, pa.py_buffer(ends), written.buffers()[2]], nulls)


def _marks(quoted: bool) -> list[bytes]:
    """Texts before an element: the first, and the first if it is NULL; a later one, by whether the one before it is
    NULL; the same for a later one that is NULL. Then the end of an array, by whether its last element is NULL; the
    empty array; nothing."""
    quote = b'"' if quoted else b""
    return [
        *(b"[" + quote, b"[null", quote + b"," + quote, b"," + quote, quote + b",null", b",null"),
        *(quote + b"]", b"]", b"[]", b""),
    ]


def _chosen_marks(elements: _Elements, nulls: Numbers | None) -> tuple[Numbers, Numbers]:
    """Indexes in `_marks`: before each element, and at the end of each row."""
    missing, filled = elements.nulls, elements.counts > 0
    opening, closing = np.full(len(elements.sizes), 2, np.int32), np.where(filled, 6, _EMPTY)
    first = (elements.ends - elements.counts)[filled]
    if missing is None:
        opening[first] = 0
    else:
        opening[1:] += missing[:-1]
        opening += 2 * missing
        opening[first] = missing[first]
        closing[filled] += missing[elements.ends[filled] - 1]
    if nulls is not None:
        closing[nulls] = _NOTHING
    return opening, closing


def _text_of(memory: Numbers, at: int, kind: ElementType) -> bytes:
    """The JSON text of the array at this position, whatever its dimensions."""
    dimensions, _, _ = _HEAD.unpack_from(memory.data, at)
    at += _HEAD.size
    lengths = [_DIMENSION.unpack_from(memory.data, at + 8 * number)[0] for number in range(dimensions)]
    at += 8 * dimensions
    starts, sizes = [], []
    for _ in range(math.prod(lengths)):
        (size,) = _LENGTH.unpack_from(memory.data, at)
        starts.append(at + 4)
        sizes.append(size)
        at += 4 + max(size, 0)
    texts = _element_texts(memory, starts, sizes, kind)
    for length in reversed(lengths):
        texts = [b"[" + b",".join(texts[n : n + length]) + b"]" for n in range(0, len(texts), length)]
    return texts[0]


def _element_texts(memory: Numbers, starts: list[int], sizes: list[int], kind: ElementType) -> list[bytes]:
    if kind.decode is None:
        found = [
            None if size < 0 else memory[at : at + size].tobytes().decode("utf-8", "surrogateescape")
            for at, size in zip(starts, sizes, strict=True)
        ]
    else:
        places, counts = np.array(starts, np.int64), np.array([len(starts)], np.int64)
        elements = _Elements(places, np.array(sizes, np.int64), counts, counts)
        found = kind.decode(_element_cells(memory, elements, kind)).cast(pa.string()).to_pylist()
    texts = [
        text if text is None or not kind.quoted else json.dumps(text, ensure_ascii=False) for text in found
    ]
    return [b"null" if text is None else text.encode("utf-8", "surrogateescape") for text in texts]
