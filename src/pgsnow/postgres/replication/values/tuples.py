"""Messages of pgoutput as columns: where the values of each column are, for all messages of a block at once.

https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pgsnow.model.errors import ChangesMalformed
from pgsnow.postgres.replication.reading import ChangeBlock

Numbers = npt.NDArray[Any]

INSERT, UPDATE, DELETE, TRUNCATE = b"IUDT"
_NEW, _KEY, _OLD = b"NKO"
_NULL, _TEXT, _UNCHANGED = b"ntu"
_OID, _TAG, _COUNT, _VALUES = 1, 5, 6, 8
"""Offsets in a message: the table's oid, the kind of its first tuple, the number of the tuple's columns, the first."""
_SHORTEST = _VALUES
_TRUNCATED = 6
"""Offset of the oids in a truncate."""
_IS_KIND = np.isin(np.arange(256), [INSERT, UPDATE, DELETE, TRUNCATE])
"""By byte: whether a message begins with it."""


@dataclass(frozen=True, slots=True)
class RawColumn:
    """One column of all tuples: its values as Postgres writes them (string), and where they are not sent because they
    did not change (booleans; None: nowhere)."""

    texts: pa.Array
    unchanged: Numbers | None

    def take(self, at: Numbers) -> pa.Array:
        """The texts of these tuples."""
        if len(at) == len(self.texts) and (at == np.arange(len(at))).all():
            return self.texts
        return self.texts.take(pa.array(at))


@dataclass(frozen=True, slots=True)
class RawChanges:
    """Changes of one table in their order. kinds, commits: of each. new, old: the number of its new tuple and of its
    old one (which may have the key alone); -1: it has none. columns: by name, over all tuples."""

    kinds: Numbers
    commits: Numbers
    new: Numbers
    old: Numbers
    columns: dict[str, RawColumn]

    @property
    def count(self) -> int:
        return len(self.kinds)

    def part(self, some: slice) -> RawChanges:
        """Some of the changes; their tuples keep their numbers."""
        return RawChanges(self.kinds[some], self.commits[some], self.new[some], self.old[some], self.columns)


@dataclass(frozen=True, slots=True)
class _Cells:
    starts: Numbers
    sizes: Numbers
    kinds: Numbers


def raw_changes(block: ChangeBlock, wanted: Collection[str]) -> RawChanges:
    """The messages of a block; of the columns only the wanted ones. Raises ChangesMalformed."""
    memory = np.frombuffer(block.data, np.uint8)
    ends = np.cumsum(block.lengths)
    starts = ends - block.lengths
    if len(ends) == 0 or len(block.commits) != len(ends):
        raise malformed(block, "a block without messages, or without their commits")
    if (block.lengths < _SHORTEST).any() or int(ends[-1]) != len(memory) or len(memory) >= 2**31:
        raise malformed(block, "the messages do not fill their block")
    kinds = memory[starts]
    if not _IS_KIND[kinds].all():
        raise malformed(block, "a message of an unknown kind")
    has_rows = kinds != TRUNCATE
    _check_truncates(block, memory, starts[~has_rows], ends[~has_rows])
    at, limit, kinds_of_rows = starts[has_rows], ends[has_rows], kinds[has_rows]
    if (numbers_at(memory, at + _OID, ">u4") != block.relation.oid).any():
        raise malformed(block, "a message of another table")
    tags = memory[at + _TAG]
    before = tags != _NEW
    _check_tags(block, kinds_of_rows, tags)
    first, reached = _tuples(block, memory, at + _COUNT, limit)
    two = before & (kinds_of_rows == UPDATE)
    second, reached[two] = _second_tuples(block, memory, reached[two], limit[two])
    if (reached != limit).any():
        raise malformed(block, "a message that does not end where its row does")
    rows = np.flatnonzero(has_rows)
    new, old = np.full(len(kinds), -1, np.int64), np.full(len(kinds), -1, np.int64)
    numbers = np.arange(len(rows), dtype=np.int64)
    new[rows[~before]], old[rows[before]] = numbers[~before], numbers[before]
    new[rows[two]] = len(rows) + np.arange(int(two.sum()), dtype=np.int64)
    columns = {
        column.name: _column(memory, _joined(one, other))
        for column, one, other in zip(block.relation.columns, first, second, strict=True)
        if column.name in wanted
    }
    return RawChanges(kinds, block.commits, new, old, columns)


def joined(parts: list[RawChanges]) -> RawChanges:
    """The changes of several blocks, one after another."""
    if len(parts) == 1:
        return parts[0]
    tuples = [len(next(iter(part.columns.values())).texts) for part in parts]
    before = np.cumsum([0, *tuples[:-1]])
    return RawChanges(
        np.concatenate([part.kinds for part in parts]),
        np.concatenate([part.commits for part in parts]),
        np.concatenate([np.where(p.new < 0, -1, p.new + add) for p, add in zip(parts, before, strict=True)]),
        np.concatenate([np.where(p.old < 0, -1, p.old + add) for p, add in zip(parts, before, strict=True)]),
        {name: _one_column([part.columns[name] for part in parts]) for name in parts[0].columns},
    )


def _one_column(parts: list[RawColumn]) -> RawColumn:
    texts = pa.concat_arrays([part.texts for part in parts])
    if all(part.unchanged is None for part in parts):
        return RawColumn(texts, None)
    masks = [np.zeros(len(part.texts), bool) if part.unchanged is None else part.unchanged for part in parts]
    return RawColumn(texts, np.concatenate(masks))


def malformed(block: ChangeBlock, what: str) -> ChangesMalformed:
    """The error for a block that is not what its table announces."""
    relation = block.relation
    return ChangesMalformed(f"{relation.schema}.{relation.table}: changes in the log cannot be read: {what}")


def numbers_at(memory: Numbers, at: Numbers, kind: str) -> Numbers:
    """The number of this numpy dtype at each position. They may overlap and need no alignment."""
    size = np.dtype(kind).itemsize
    everywhere: Numbers = np.ndarray((len(memory) - size + 1,), kind, memory, 0, (1,))
    return everywhere[at]


def _check_truncates(block: ChangeBlock, memory: Numbers, starts: Numbers, ends: Numbers) -> None:
    """A truncate lists the tables that were truncated together."""
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        oids = memory[start + _TRUNCATED : end].tobytes()
        count = int.from_bytes(memory[start + 1 : start + 5].tobytes())
        found = np.frombuffer(oids[: len(oids) // 4 * 4], ">u4")
        if len(oids) != 4 * count or block.relation.oid not in found.tolist():
            raise malformed(block, "a truncate of other tables")


def _check_tags(block: ChangeBlock, kinds: Numbers, tags: Numbers) -> None:
    """An insert has a new tuple, a delete an old one, an update a new one, perhaps after an old one."""
    old = (tags == _KEY) | (tags == _OLD)
    if (~old & (tags != _NEW)).any() or (old & (kinds == INSERT)).any() or (~old & (kinds == DELETE)).any():
        raise malformed(block, "a message with a tuple of an unexpected kind")


def _second_tuples(
    block: ChangeBlock, memory: Numbers, at: Numbers, limit: Numbers
) -> tuple[list[_Cells], Numbers]:
    """The new tuples of updates, which begin behind the old ones."""
    if (at + 3 > limit).any() or (memory[np.minimum(at, len(memory) - 1)] != _NEW).any():
        raise malformed(block, "an update without its new row")
    return _tuples(block, memory, at + 1, limit)


def _tuples(block: ChangeBlock, memory: Numbers, at: Numbers, limit: Numbers) -> tuple[list[_Cells], Numbers]:
    """The cells of tuples that begin at these positions, by column, and where they end."""
    columns = block.relation.columns
    if (numbers_at(memory, at, ">u2") != len(columns)).any():
        raise malformed(block, "a row with another number of columns than the table")
    at, found = at + 2, list[_Cells]()
    for _ in columns:
        cells, at = _cells(block, memory, at, limit)
        found.append(cells)
    return found, at


def _cells(block: ChangeBlock, memory: Numbers, at: Numbers, limit: Numbers) -> tuple[_Cells, Numbers]:
    """The cells of one column, and where the next one's begin."""
    if (at >= limit).any():
        raise malformed(block, "a row that ends before its last column")
    kinds = memory[at]
    texts = kinds == _TEXT
    if texts.all():
        if (at + 5 > limit).any():
            raise malformed(block, "a row that ends within a value")
        sizes = numbers_at(memory, at + 1, ">i4").astype(np.int64)
        starts = at + 5
    else:
        if not (texts | (kinds == _NULL) | (kinds == _UNCHANGED)).all():
            raise malformed(block, "a value in a form that was not asked for")
        if (texts & (at + 5 > limit)).any():
            raise malformed(block, "a row that ends within a value")
        last = max(len(memory) - 4, 0)
        sizes = np.where(texts, numbers_at(memory, np.minimum(at + 1, last), ">i4"), 0).astype(np.int64)
        starts = at + np.where(texts, 5, 1)
    after = starts + sizes
    if (sizes < 0).any() or (after > limit).any():
        raise malformed(block, "a value that is longer than its row")
    return _Cells(starts, sizes, kinds), after


def _joined(one: _Cells, other: _Cells) -> _Cells:
    if len(other.starts) == 0:
        return one
    return _Cells(
        np.concatenate([one.starts, other.starts]),
        np.concatenate([one.sizes, other.sizes]),
        np.concatenate([one.kinds, other.kinds]),
    )


def _column(memory: Numbers, cells: _Cells) -> RawColumn:
    """The texts, copied by Arrow: the block is handed to it as an array that alternates gaps and values, of which every
    second element is taken."""
    count = len(cells.starts)
    missing = cells.kinds != _TEXT
    unchanged = cells.kinds == _UNCHANGED
    starts, ends, order = cells.starts, cells.starts + cells.sizes, None
    if count and (starts[1:] < ends[:-1]).any():
        order = np.argsort(starts, kind="stable")
        starts, ends = starts[order], ends[order]
    edges = np.empty(2 * count + 1, np.int32)
    edges[0:-1:2] = starts
    edges[1::2] = ends
    edges[-1] = edges[-2] if count else 0
    by_turns = pa.Array.from_buffers(
        pa.string(), 2 * count, [None, pa.py_buffer(edges), pa.py_buffer(memory)]
    )
    wanted = np.arange(0, 2 * count, 2, dtype=np.int32)
    if order is not None:
        wanted[order] = wanted.copy()
    texts = by_turns.take(pa.array(wanted))
    if missing.any():
        bitmap = pa.py_buffer(np.packbits(~missing, bitorder="little"))
        texts = pa.Array.from_buffers(pa.string(), count, [bitmap, *texts.buffers()[1:]])
    return RawColumn(texts, unchanged if unchanged.any() else None)
