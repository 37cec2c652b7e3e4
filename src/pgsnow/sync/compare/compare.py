"""Comparison of two sides by ranges of their keys: only ranges with different digests are split, and only the keys of
small ranges that still differ are fetched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pgsnow.model.key_range import ComparisonCounts, DifferenceKind, Key, KeyDifference, KeyRange, RangeDigest
from pgsnow.model.plan import TablePlan
from pgsnow.sync.compare.ranges import between, split
from pgsnow.sync.compare.sides import Side

LEAF = 10_000
"""A range with at most this many rows on each side is not split."""
FAN = 16
"""Parts into which a range is split."""
GROUP = 1_000
"""Ranges that are looked at together, so that memory is bounded whatever the number of those that differ."""
KEYS_AT_ONCE = 100_000
"""Keys of leaves that are fetched together, about; held in memory for the side that has fewer."""


@dataclass(slots=True)
class Comparison:
    """The differences, found while they are iterated over, once. `counts` grows meanwhile and is complete afterwards.
    Memory is bounded whatever the tables' sizes."""

    found: Iterator[KeyDifference]
    counts: ComparisonCounts = field(default_factory=ComparisonCounts)

    def __iter__(self) -> Iterator[KeyDifference]:
        return self.found


@dataclass(frozen=True, slots=True)
class _Compared:
    """A range with its rows on both sides."""

    range: KeyRange
    source: int
    target: int

    @property
    def most(self) -> int:
        return max(self.source, self.target)


def compare(
    source: Side,
    target: Side,
    plan: TablePlan,
    first: Sequence[KeyRange],
    *,
    source_first: Sequence[RangeDigest] | None = None,
    leaf: int = LEAF,
    fan: int = FAN,
) -> Comparison:
    """Compare the ranges of `first`, which are disjoint and ascending. source_first: their digests on the source's
    side, if they are already known (of the snapshot of a read). Levels go breadth-first: one digest statement a side a
    level, as long as a level has at most GROUP ranges. The iterator raises what the sides raise."""
    counts = ComparisonCounts()
    walk = _Walk(source, target, plan, counts, leaf, fan)
    return Comparison(walk.differences(first, source_first), counts)


@dataclass(slots=True)
class _Walk:
    source: Side
    target: Side
    plan: TablePlan
    counts: ComparisonCounts
    leaf: int
    fan: int
    leaves: list[_Compared] = field(default_factory=list)

    def differences(
        self, first: Sequence[KeyRange], source_first: Sequence[RangeDigest] | None
    ) -> Iterator[KeyDifference]:
        groups: list[tuple[int, Sequence[KeyRange]]] = [(1, first)]
        while groups:
            level, ranges = groups.pop()
            self.counts.levels = max(self.counts.levels, level)
            parts = self._parts(self._unequal(ranges, source_first if level == 1 else None, level))
            more = [(level + 1, parts[at : at + GROUP]) for at in range(0, len(parts), GROUP)]
            groups += reversed(more)
            yield from self._read_leaves(KEYS_AT_ONCE)
        yield from self._read_leaves(1)
        self._count_statements()

    def _unequal(
        self, ranges: Sequence[KeyRange], known: Sequence[RangeDigest] | None, level: int
    ) -> list[_Compared]:
        """Those of these ranges whose digests differ."""
        there = self.source.digests(ranges) if known is None else known
        here = self.target.digests(ranges)
        self.counts.ranges += len(ranges)
        if level == 1:
            self.counts.source_rows = sum(digest.rows for digest in there)
            self.counts.target_rows = sum(digest.rows for digest in here)
        found = [
            _Compared(range_, one.rows, other.rows)
            for range_, one, other in zip(ranges, there, here, strict=True)
            if one.rows != other.rows or (one.rows and one.sums != other.sums)
        ]
        self.counts.equal_ranges += len(ranges) - len(found)
        self._count_statements()
        return found

    def _parts(self, unequal: Sequence[_Compared]) -> list[KeyRange]:
        """The parts of those that are large; the others, and those that cannot be split, are leaves."""
        whole: dict[int, list[KeyRange]] = {}
        large: list[int] = []
        for at, one in enumerate(unequal):
            alone = not one.target or (not one.source and one.target <= KEYS_AT_ONCE)
            if one.most <= self.leaf or alone:
                continue  # keys that one side alone has are read as they are, and the source's are streamed
            parts = split(self.plan, one.range, one.most, self.fan)
            if parts is None:
                large.append(at)
            elif len(parts) > 1:
                whole[at] = parts
        for side, own in self._sides([unequal[at] for at in large]):
            rows = [one.source if side is self.source else one.target for one in own]
            for one, keys in zip(own, side.bounds([o.range for o in own], rows, self.fan), strict=True):
                if keys and (parts := between(keys, one.range))[1:]:
                    whole[unequal.index(one)] = parts
        self.leaves += [one for at, one in enumerate(unequal) if at not in whole]
        return [part for at in sorted(whole) for part in whole[at]]

    def _sides(self, large: Sequence[_Compared]) -> Iterator[tuple[Side, list[_Compared]]]:
        """The side that gives the bounds of each of these ranges: the source, unless its key has no index or the target
        has far more rows."""
        from_source = [o for o in large if self.source.ordered and o.target <= 2 * o.source]
        from_target = [o for o in large if o not in from_source]
        yield from (
            (side, own) for side, own in ((self.source, from_source), (self.target, from_target)) if own
        )

    def _read_leaves(self, enough: int) -> Iterator[KeyDifference]:
        """The differences of the leaves, as soon as they hold enough keys."""
        while self.leaves and sum(one.most for one in self.leaves) >= enough:
            some, keys = list[_Compared](), 0
            while self.leaves and (not some or keys + self.leaves[0].most <= KEYS_AT_ONCE):
                some.append(self.leaves.pop(0))
                keys += some[-1].most
            for difference in self._of_leaves(some):
                found = self.counts.differences
                found[difference.kind] = found.get(difference.kind, 0) + difference.rows
                yield difference
            self._count_statements()

    def _of_leaves(self, leaves: Sequence[_Compared]) -> Iterator[KeyDifference]:
        """The side with fewer rows is held in memory, and the other one streamed."""
        ranges = [one.range for one in leaves]
        of_source, of_target = sum(o.source for o in leaves), sum(o.target for o in leaves)
        smaller_is_source = of_source <= of_target
        small, big = (self.source, self.target) if smaller_is_source else (self.target, self.source)
        only_big = DifferenceKind.GHOST if smaller_is_source else DifferenceKind.MISSING
        held: dict[Key, tuple[Counter[tuple[int, ...]], Counter[tuple[int, ...]]]] = {}
        for key, content in small.rows(ranges) if min(of_source, of_target) else ():
            held.setdefault(key, (Counter(), Counter()))[0][content] += 1
            self.counts.keys_read += 1
        for key, content in big.rows(ranges):
            self.counts.keys_read += 1
            if key in held:
                held[key][1][content] += 1
            else:
                yield KeyDifference(only_big, key)
        for key, (own, others) in held.items():
            if own != others:
                yield from _of_key(key, *((own, others) if smaller_is_source else (others, own)))

    def _count_statements(self) -> None:
        self.counts.source_statements = self.source.statements
        self.counts.target_statements = self.target.statements


def _of_key(
    key: Key, source: Counter[tuple[int, ...]], target: Counter[tuple[int, ...]]
) -> Iterator[KeyDifference]:
    """The differences of one key from its rows on both sides, by their content."""
    there, here = source.total(), target.total()
    if not here:
        yield KeyDifference(DifferenceKind.MISSING, key, there)
    elif not there:
        yield KeyDifference(DifferenceKind.GHOST, key, here)
    else:
        if set(source) != set(target):
            yield KeyDifference(DifferenceKind.CHANGED, key)
        if here > there:
            yield KeyDifference(DifferenceKind.DUPLICATE, key, here - there)
        elif here < there:
            yield KeyDifference(DifferenceKind.MISSING, key, there - here)
