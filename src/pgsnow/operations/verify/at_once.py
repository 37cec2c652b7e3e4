"""Both sides of a comparison computing their digests at the same time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from pgsnow.model.key_range import Key, KeyRange, RangeDigest
from pgsnow.sync.compare.sides import Row, Side


@dataclass
class _Pair:
    source: Side
    target: Side
    pool: ThreadPoolExecutor
    waiting: list[Future[list[RangeDigest]]] = field(default_factory=list)


@dataclass
class _OneOfTwo:
    """A side that is asked through another one. Digests are asked of the source first, and begin on both sides then."""

    pair: _Pair
    side: Side

    @property
    def statements(self) -> int:
        return self.side.statements

    @property
    def ordered(self) -> bool:
        return self.side.ordered

    def digests(self, ranges: Sequence[KeyRange]) -> list[RangeDigest]:
        pair = self.pair
        if self.side is pair.target:
            return pair.waiting.pop().result()
        pair.waiting = [pair.pool.submit(pair.target.digests, ranges)]
        return self.side.digests(ranges)

    def bounds(self, ranges: Sequence[KeyRange], rows: Sequence[int], parts: int) -> list[list[Key]]:
        return self.side.bounds(ranges, rows, parts)

    def rows(self, ranges: Sequence[KeyRange]) -> Iterator[Row]:
        return self.side.rows(ranges)


def at_once(source: Side, target: Side, pool: ThreadPoolExecutor) -> tuple[Side, Side]:
    """The two sides, for `compare`. The source's snapshot is open, so the target is read after it was taken. pool: has
    one thread; its end waits for a statement that still runs."""
    pair = _Pair(source, target, pool)
    return _OneOfTwo(pair, source), _OneOfTwo(pair, target)
