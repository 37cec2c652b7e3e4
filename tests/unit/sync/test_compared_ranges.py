"""The comparison by ranges, between two sides that are lists: it finds what differs and nothing else, with few
statements and few keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgsnow.model.key_range import DifferenceKind, Key, KeyDifference, KeyRange, RangeDigest
from pgsnow.model.plan import TablePlan
from pgsnow.sync.compare.answers import float_text
from pgsnow.sync.compare.compare import Comparison, compare
from pgsnow.sync.compare.ranges import between, first_ranges, split
from pgsnow.sync.compare.sides import Row
from tests.unit.postgres.plans import plan

PLAN = plan()


@dataclass
class ListedSide:
    """Rows of an integer key and a content, in memory."""

    listed: Sequence[tuple[int, int]]
    ordered: bool = True
    statements: int = 0

    def _in(self, range_: KeyRange) -> list[tuple[int, int]]:
        first = None if range_.first is None else int(range_.first[0])
        end = None if range_.end is None else int(range_.end[0])
        return sorted(
            row for row in self.listed if (first is None or first <= row[0]) and (end is None or row[0] < end)
        )

    def digests(self, ranges: Sequence[KeyRange]) -> list[RangeDigest]:
        self.statements += 1
        return [RangeDigest(len(rows), (hash(tuple(rows)),)) for rows in map(self._in, ranges)]

    def bounds(self, ranges: Sequence[KeyRange], rows: Sequence[int], parts: int) -> list[list[Key]]:
        self.statements += 1
        found: list[list[Key]] = []
        for range_, count in zip(ranges, rows, strict=True):
            keys: list[Key] = [(str(key),) for key, _ in self._in(range_)]
            assert len(keys) == count
            found.append(list(dict.fromkeys(keys[-(-count // parts) :: -(-count // parts)])))
        return found

    def rows(self, ranges: Sequence[KeyRange]) -> Iterator[Row]:
        self.statements += 1
        for range_ in ranges:
            yield from (((str(key),), (content,)) for key, content in self._in(range_))


def compared(there: Any, here: Any, first: Sequence[KeyRange], **options: Any) -> Comparison:
    return compare(ListedSide(there), ListedSide(here), PLAN, first, **options)


def expected(
    there: Sequence[tuple[int, int]], here: Sequence[tuple[int, int]]
) -> set[tuple[DifferenceKind, Key, int]]:
    """What differs, told without ranges."""
    found = set[tuple[DifferenceKind, Key, int]]()
    for key in {key for key, _ in (*there, *here)}:
        own, others = ([c for k, c in side if k == key] for side in (there, here))
        more = len(others) - len(own)
        if own and others and set(own) != set(others):
            found.add((DifferenceKind.CHANGED, (str(key),), 1))
        if more > 0:
            kind = DifferenceKind.DUPLICATE if own else DifferenceKind.GHOST
            found.add((kind, (str(key),), more))
        elif more < 0:
            found.add((DifferenceKind.MISSING, (str(key),), -more))
    return found


def told(found: Iterator[KeyDifference]) -> Counter[tuple[DifferenceKind, Key]]:
    counted: Counter[tuple[DifferenceKind, Key]] = Counter()
    for difference in found:
        counted[difference.kind, difference.key] += difference.rows
    return counted


rows = st.lists(st.tuples(st.integers(-60, 60), st.integers(0, 1)), max_size=40)


@given(
    rows, rows, st.sets(st.integers(-70, 70), max_size=6), st.integers(1, 9), st.integers(2, 5), st.booleans()
)
def test_what_differs_is_found_and_nothing_else(
    there: list[tuple[int, int]],
    here: list[tuple[int, int]],
    cuts: set[int],
    leaf: int,
    fan: int,
    ordered: bool,
) -> None:
    """Whatever the rows of both sides, the first ranges and the sizes, and whether the source can cut its ranges."""
    source, target = ListedSide(there, ordered), ListedSide(here)
    first = between([(str(cut),) for cut in sorted(cuts)])
    result = compare(source, target, PLAN, first, leaf=leaf, fan=fan)
    assert told(iter(result)) == {(kind, key): count for kind, key, count in expected(there, here)}
    assert (result.counts.source_rows, result.counts.target_rows) == (len(there), len(here))
    assert sum(result.counts.differences.values()) == sum(n for *_, n in expected(there, here))


def test_a_few_differences_among_many_keys_cost_few_statements_and_few_keys() -> None:
    """Levels go breadth-first: one statement a side a level, and one for the keys of all leaves."""
    there = [(key, 0) for key in range(20_000)]
    here = [row for row in there if row[0] not in (7, 9_999, 19_999)]
    first = between([(str(key),) for key in range(1_000, 20_000, 1_000)])
    result = compared(there, here, first, leaf=100, fan=16)
    assert sorted(int(d.key[0]) for d in result) == [7, 9_999, 19_999]
    counts = result.counts
    assert (counts.levels, counts.source_statements, counts.target_statements) == (2, 4, 3)
    assert counts.ranges == 20 + 3 * 16
    assert counts.equal_ranges == counts.ranges - 6
    assert counts.keys_read < 3 * 2 * 100


def test_equal_sides_cost_one_statement_each() -> None:
    there = [(key, 0) for key in range(100)]
    result = compared(there, there, between([("50",)]))
    assert list(result) == []
    assert (result.counts.source_statements, result.counts.target_statements) == (1, 1)


def test_digests_of_the_source_may_be_given() -> None:
    """Those that were counted in the snapshot of a read; the source is asked only for the parts of what differs."""
    there, here = [(1, 0), (9, 0)], [(1, 0), (5, 0), (9, 0)]
    first = between([("5",)])
    source = ListedSide(there)
    known = source.digests(first)
    source.statements = 0
    result = compare(source, ListedSide(here), PLAN, first, source_first=known)
    assert [(d.kind, d.key) for d in result] == [(DifferenceKind.GHOST, ("5",))]
    assert source.statements == 1


def test_keys_that_one_side_alone_has_are_not_looked_for_on_the_other() -> None:
    """A whole range of ghosts is one statement at the target, however many there are."""
    source, target = ListedSide([]), ListedSide([(key, 0) for key in range(500)])
    result = compare(source, target, PLAN, between([]), leaf=10)
    assert len(list(result)) == 500
    assert (source.statements, target.statements) == (1, 2)


def test_a_target_without_a_source_is_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys of a range come in one answer, so there are never too many in one."""
    monkeypatch.setattr("pgsnow.sync.compare.compare.KEYS_AT_ONCE", 100)
    target = ListedSide([(key, 0) for key in range(1000)])
    result = compare(ListedSide([]), target, PLAN, between([]), leaf=10)
    assert len(list(result)) == 1000
    assert target.statements == 1 + 1 + 1 + 16  # digests, bounds, digests of the parts, their keys


def test_a_key_that_is_there_a_thousand_times_is_one_duplicate() -> None:
    """A range of one key cannot be split further."""
    result = compared([(5, 0)], [(5, 0)] * 1000, between([]), leaf=10)
    assert list(result) == [KeyDifference(DifferenceKind.DUPLICATE, ("5",), 999)]


@given(st.integers(-(2**63), 2**63 - 1), st.integers(1, 10**6), st.integers(2, 20))
def test_integers_are_split_evenly_and_completely(first: int, width: int, parts: int) -> None:
    whole = KeyRange((str(first),), (str(first + width),))
    found = split(PLAN, whole, width, parts)
    assert found is not None
    assert (found[0].first, found[-1].end) == (whole.first, whole.end)
    assert [one.end for one in found[:-1]] == [one.first for one in found[1:]]
    widths = [int(one.end[0]) - int(one.first[0]) for one in found if one.first and one.end]
    assert len(found) == min(parts, width)
    assert max(widths) - min(widths) <= 1


def test_what_cannot_be_split_by_value_needs_a_look_at_the_keys() -> None:
    assert split(PLAN, KeyRange(("1",), None), 100, 16) is None
    assert split(PLAN, KeyRange(("1",), (str(10**15),)), 100, 16) is None  # most parts would be empty


def test_floats_are_written_as_postgres_writes_them() -> None:
    written = {
        0.1: "0.1", 1.0: "1", 1e15: "1e+15", 123456789012345.0: "123456789012345", 1e-5: "1e-05", 0.0001: "0.0001",
        -1.5e300: "-1.5e+300", -738108164.4735101: "-738108164.4735101", float("inf"): "Infinity", 5e-324: "5e-324",
    }  # fmt: skip
    assert {value: float_text(value) for value in written} == written
    assert float_text(float("nan")) == "NaN"


def test_a_digest_can_be_added_and_subtracted() -> None:
    one, other = RangeDigest(3, (10, -1)), RangeDigest(1, (4, 2))
    assert (one + other) - other == one
    assert one + RangeDigest() == one
    assert RangeDigest(1) - RangeDigest(1, (5,)) == RangeDigest(0, (-5,))


@dataclass
class Sampled:
    """A source of which only its ends and a sample are asked."""

    ordered: bool
    ends: tuple[int, int] | None = (1, 10_000_000)
    asked: float | None = None

    def extremes(self) -> tuple[int, int] | None:
        return self.ends

    def sampled(self, percent: float, parts: int) -> tuple[int, list[Key]]:
        self.asked = percent
        return 20_000, [(str(at * 10),) for at in range(1, parts)]


def of_size(rows: int, size: int) -> TablePlan:
    return replace(PLAN, source=replace(PLAN.source, estimated_rows=rows, total_bytes=size))


def test_first_ranges_of_integers_are_equally_wide_and_open_at_both_ends() -> None:
    found = first_ranges(Sampled(True), of_size(5_000_000, 10**9))  # type: ignore[arg-type]
    assert len(found) == 77
    assert (found[0].first, found[-1].end) == (None, None)
    assert found[1] == KeyRange(("129871",), ("259741",))
    assert len(first_ranges(Sampled(True), of_size(10**9, 10**12))) == 190  # type: ignore[arg-type]
    assert first_ranges(Sampled(True, None), of_size(-1, 0)) == [KeyRange()]  # type: ignore[arg-type]


def test_first_ranges_of_other_keys_lie_between_sampled_keys() -> None:
    """Integers with large gaps, and keys whose order no index has: these in smaller ranges, as each level is a scan."""
    sparse = Sampled(True, (1, 2**62))
    assert len(first_ranges(sparse, of_size(1_000_000, 10**9))) == 16  # type: ignore[arg-type]
    assert sparse.asked == 2.0
    unserved = Sampled(False)
    assert len(first_ranges(unserved, of_size(400_000, 10**9))) == 80  # type: ignore[arg-type]
