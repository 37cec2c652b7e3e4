"""Changes that one read of the log returns, in the spool, by table."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from pgsnow.model.log.relation import LogRelation
from pgsnow.postgres.replication.messages import moment
from pgsnow.postgres.replication.reading import ChangeBlock
from pgsnow.postgres.replication.spool import Extent, SpoolFile

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class SpooledPart:
    """An extent in the order of commits. commit: of the streamed transaction that it is of, else 0, and dropped: the
    subtransactions of it that were rolled back."""

    extent: Extent
    commit: int = 0
    dropped: frozenset[int] = frozenset()


@dataclass
class SpooledReading:
    """Implements LogReading. Filled by LogAssembler; not changed any more after the read."""

    begin: int
    home: SpoolFile
    end: int = 0
    complete: bool = False
    newest: int | None = None
    """When the last transaction committed, as messages have it."""
    messages: int = 0
    size: int = 0
    spilled: int = 0
    commits: array[int] = field(default_factory=lambda: array("Q"))
    """End of the commit record of each transaction that was not streamed."""
    xids: array[int] = field(default_factory=lambda: array("I"))
    parts: dict[int, list[SpooledPart]] = field(default_factory=dict)
    homes: list[SpoolFile] = field(default_factory=list)
    """Files of streamed transactions that were committed."""

    @property
    def newest_commit(self) -> datetime | None:
        """See LogReading."""
        return None if self.newest is None else moment(self.newest)

    @property
    def committed(self) -> frozenset[int]:
        """See LogReading."""
        return frozenset(self.xids)

    @property
    def tables(self) -> frozenset[int]:
        """See LogReading."""
        return frozenset(self.parts)

    def relations(self, oid: int) -> tuple[LogRelation, ...]:
        """See LogReading."""
        found: list[LogRelation] = []
        for part in self.parts.get(oid, ()):
            if not found or found[-1] != part.extent.relation:
                found.append(part.extent.relation)
        return tuple(found)

    def blocks(self, oid: int, *, after: int = 0) -> Iterator[ChangeBlock]:
        """See LogReading. Raises SpoolUnavailable."""
        import numpy as np

        commits = (
            np.frombuffer(self.commits, np.uint64).astype(np.int64) if self.commits else np.zeros(0, np.int64)
        )
        for part in self.parts.get(oid, ()):
            if (part.commit or self.commits[part.extent.owner]) <= after:
                continue
            if block := _block(part, commits, after):
                yield block

    def close(self) -> None:
        """See LogReading."""
        for home in (self.home, *self.homes):
            home.close()
        self.parts = {}


def _block(part: SpooledPart, commits: npt.NDArray[np.int64], after: int) -> ChangeBlock | None:
    """The messages of a part that are in force; None if there are none."""
    import numpy as np

    data, lengths, owners, starts = _loaded(part.extent)
    bounds = np.append(starts.astype(np.int64), len(lengths))
    counts = bounds[1:] - bounds[:-1]
    if part.commit:
        ends = np.full(len(owners), part.commit, np.int64)
        kept = ~np.isin(owners, np.array(sorted(part.dropped), np.uint64)) if part.dropped else ends > 0
    else:
        ends = commits[owners.astype(np.int64)]
        kept = ends > after
    ends, mask = np.repeat(ends, counts), np.repeat(kept, counts)
    if not mask.all():
        data = _chosen(data, lengths, mask)
        lengths, ends = lengths[mask], ends[mask]
    return ChangeBlock(part.extent.relation, data, lengths, ends) if len(lengths) else None


def _chosen(data: memoryview, lengths: npt.NDArray[np.int64], mask: npt.NDArray[np.bool_]) -> memoryview:
    """The messages of the mask, joined."""
    import numpy as np

    ends = np.cumsum(lengths)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False]))))
    chosen = bytearray()
    for first, last in edges.reshape(-1, 2).tolist():
        chosen += data[int(ends[first] - lengths[first]) : int(ends[last - 1])]
    return memoryview(chosen)


def _loaded(
    extent: Extent,
) -> tuple[memoryview, npt.NDArray[np.int64], npt.NDArray[np.uint64], npt.NDArray[np.uint32]]:
    """The extent's messages, their lengths, and its runs, from memory or disk."""
    import numpy as np

    if extent.at < 0:
        lengths, owners, starts = (
            np.frombuffer(values, kind) if values else np.zeros(0, kind)
            for values, kind in ((extent.lengths, "u4"), (extent.owners, "u8"), (extent.starts, "u4"))
        )
        return memoryview(extent.data).toreadonly(), lengths.astype(np.int64), owners, starts
    sizes = (extent.size, 4 * extent.messages, 8 * extent.runs, 4 * extent.runs)
    found = extent.home.read(extent.at, sum(sizes))
    at, pieces = 0, []
    for size in sizes:
        pieces.append(memoryview(found)[at : at + size])
        at += size
    lengths = np.frombuffer(pieces[1], "u4").astype(np.int64)
    return pieces[0].toreadonly(), lengths, np.frombuffer(pieces[2], "u8"), np.frombuffer(pieces[3], "u4")
