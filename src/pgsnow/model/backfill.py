"""A backfill: a full read of a large table, cut into chunks that are read, loaded and remembered one by one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from pgsnow.model.checkpoint import Checkpoint
from pgsnow.model.plan import TablePlan


@dataclass(frozen=True, slots=True)
class Blocks:
    """Pages of a table's file, and of that of each table below it: from `first` up to `end`, which is not of them
    (None: all there are)."""

    first: int
    end: int | None


@dataclass(frozen=True, slots=True)
class Keys:
    """Rows by the first column of their key, its values as text: from `first` (None: with the smallest, and with those
    that have none) up to `end`, which is not of them (None: up to the largest)."""

    first: str | None
    end: str | None


Range = Blocks | Keys


@dataclass(frozen=True, slots=True)
class ChunkId:
    """Which chunk: the ledger's id of its backfill, and its number there."""

    backfill: int
    number: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk as the ledger has it. attempts: how often it was begun. rows, rejected, size (bytes in memory as read)
    and last_watermark (the largest of its own) are known once it is done.

    fences: of its attempts, in their order; the last one is that of the attempt under way, or of the one that is done.
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
    """Of all its attempts: their staging may be left in Snowflake."""


@dataclass(frozen=True, slots=True)
class ChunkCounts:
    """How far a backfill is. held: chunks that somebody alive is loading."""

    chunks: int
    done: int
    held: int

    @property
    def left(self) -> int:
        return self.chunks - self.done

    @property
    def waiting(self) -> int:
        """Chunks that anybody may take."""
        return self.left - self.held


@dataclass(frozen=True, slots=True)
class Backfill:
    """One backfill as the ledger has it.

    id: the ledger's own. fence: whatever was written for it has a larger one, whatever was written before it a smaller
    one; the run that reads what has changed meanwhile has a larger one than all attempts at chunks.
    layout: `layout_of` the plan it was cut for. checkpoint: captured before the first chunk was read.
    prunes: rows that were not read are to be deleted at its end. reason: why everything is read.
    replaces: its rows are gathered beside the target, and take the place of what that holds at its end, all at once.
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
        """The fences of attempts at chunks that other attempts came after."""
        return tuple(fence for chunk in self.chunks for fence in chunk.fences[:-1])

    @property
    def rejected(self) -> int:
        """Rows that went to quarantine."""
        return sum(chunk.rejected for chunk in self.chunks)


def layout_of(plan: TablePlan) -> str:
    """A digest of what a chunk's rows depend on: where the rows are stored, and what becomes of each. With another one
    the chunks that are done are of no use."""
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
    said = (plan.shape, source.oid, source.filenode, plan.pk, columns, loaded)
    return hashlib.sha256(repr(said).encode()).hexdigest()[:16]


def cut(tables: Sequence[int], limit: int) -> tuple[Blocks, ...]:
    """Ranges of blocks that cover all tables, of sizes (in blocks) that are given, side by side: in order, without gap
    or overlap, the last one open. None but the last has more than `limit` blocks in all tables together, or more than
    one block of each where even that is above the limit."""
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


def between(bounds: Sequence[str]) -> tuple[Keys, ...]:
    """Ranges of keys that cover all there can be, in order, without gap or overlap. bounds: ascending, none twice."""
    return tuple(Keys(*pair) for pair in zip([None, *bounds], [*bounds, None], strict=True))
