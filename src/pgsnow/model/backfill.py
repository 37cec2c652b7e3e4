"""A backfill: a full read of a large table in chunks, each of them read, loaded and recorded on its own."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from pgsnow.model.checkpoint import Checkpoint
from pgsnow.model.plan import TablePlan


@dataclass(frozen=True, slots=True)
class Blocks:
    """A range of blocks (pages of the table's file, and of each of its partitions' files): `first` up to, but without,
    `end`; None means up to the last one."""

    first: int
    end: int | None


@dataclass(frozen=True, slots=True)
class Keys:
    """A range of rows by the first column of their key, its values as text: `first` (None: from the smallest, NULL
    included) up to, but without, `end` (None: up to the largest)."""

    first: str | None
    end: str | None


Range = Blocks | Keys


@dataclass(frozen=True, slots=True)
class ChunkId:
    """Identifies a chunk: the ledger's id of its backfill, and its number within it."""

    backfill: int
    number: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk as the ledger stores it.

    attempts: how often it was started. rows, rejected, size (bytes in memory as read) and last_watermark (its largest)
    are known once it is done. fences: the fences of its attempts, in order; the last one belongs to the attempt in
    progress, or to the successful one.
    """

    number: int
    range: Range
    attempts: int = 0
    done: bool = False
    rows: int = 0
    rejected: int = 0
    size: int = 0
    last_watermark: str | None = None
    fences: tuple[int, ...] = ()
    open_batches: tuple[str, ...] = ()
    """Load batches of all its attempts; their staging tables and files may still be in Snowflake."""


@dataclass(frozen=True, slots=True)
class ChunkCounts:
    """Progress of a backfill. held: chunks that a live worker is loading."""

    chunks: int
    done: int
    held: int

    @property
    def left(self) -> int:
        return self.chunks - self.done

    @property
    def waiting(self) -> int:
        """Chunks that a worker may claim."""
        return self.left - self.held


@dataclass(frozen=True, slots=True)
class Backfill:
    """One backfill as the ledger stores it.

    id: the ledger's. fence: everything written for the backfill has a larger one, everything written before it a
    smaller one; the closing run, which reads the changes made since, has a larger one than every attempt at a chunk.
    layout: `layout_of` the plan that the chunks were made for. checkpoint: captured before the first chunk was read.
    prunes: rows that were not read are deleted at the end. reason: why everything is read.
    replaces: the rows are collected in a shadow table, which is swapped with the target at the end.
    """

    id: int
    fence: int
    layout: str
    checkpoint: Checkpoint
    prunes: bool
    reason: str
    chunks: tuple[Chunk, ...]
    replaces: bool = False

    @property
    def left(self) -> tuple[Chunk, ...]:
        return tuple(chunk for chunk in self.chunks if not chunk.done)

    @property
    def done(self) -> tuple[Chunk, ...]:
        return tuple(chunk for chunk in self.chunks if chunk.done)

    @property
    def given_up(self) -> tuple[int, ...]:
        """Fences of attempts at chunks that failed and were followed by another attempt."""
        return tuple(fence for chunk in self.chunks for fence in chunk.fences[:-1])

    @property
    def rejected(self) -> int:
        """Number of rejected rows."""
        return sum(chunk.rejected for chunk in self.chunks)


def layout_of(plan: TablePlan) -> str:
    """A hash of everything that a chunk's rows depend on: where the source stores them, and how they are loaded. If it
    changes, chunks that are done cannot be used any more."""
    source = plan.source
    read = {field.source for field in plan.fields}
    columns = [
        (c.attnum, c.name, c.type_text, c.labels, c.generation, c.has_missing)
        for c in source.columns
        if c.name in read
    ]
    loaded = [
        (f.source, f.target, f.type.read, f.type.carried, f.type.snowflake, f.type.merge, f.overflow.recorded)
        for f in plan.output
    ]
    values = (plan.shape, source.oid, source.filenode, plan.pk, columns, loaded)
    return hashlib.sha256(repr(values).encode()).hexdigest()[:16]


def block_ranges(tables: Sequence[int], limit: int) -> tuple[Blocks, ...]:
    """Ranges of blocks that cover all tables at once, in order, without gap or overlap; the last one is open.

    tables: the size of each, in blocks. Each range but the last has at most `limit` blocks, summed over all tables, or
    one block of each table if even that is more.
    """
    ends: list[int] = []
    at = filled = 0
    wide = len(tables)
    for size in sorted(tables):
        while at < size:
            if filled and filled + wide > limit:
                ends.append(at)
                filled = 0
            step = min(size - at, max(1, (limit - filled) // wide))
            at += step
            filled += step * wide
        wide -= 1
    return tuple(Blocks(*pair) for pair in zip([0, *ends], [*ends, None], strict=True))


def is_complete(ranges: Sequence[Range]) -> bool:
    """True if the ranges cover a whole table, in order, without a gap."""
    if not ranges or ranges[0].first not in (0, None) or ranges[-1].end is not None:
        return False
    return all(part.end == after.first for part, after in itertools.pairwise(ranges))


def ranges_between(bounds: Sequence[str]) -> tuple[Keys, ...]:
    """Ranges that cover all possible keys, in order, without gap or overlap. bounds: ascending and distinct."""
    return tuple(Keys(*pair) for pair in zip([None, *bounds], [*bounds, None], strict=True))
