"""The rows in which a target differs from its source, all of them, streamed: what `verify` shows and `repair` fixes.

Digests, or sums over streams, name the keys that may differ. The rows behind these keys are then read from both sides
and compared value by value, and only what differs there is a difference. A busy table changes meanwhile: a row that is
equal at the second look was on its way, and so is one that the next run would read.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

from pgsnow.model.config.sync_config import TableMode
from pgsnow.model.key_range import ComparisonCounts, DifferenceKind, Key, KeyRange
from pgsnow.operations.verify.at_once import at_once
from pgsnow.operations.verify.exact_rows import AT_ONCE, ExactRows
from pgsnow.operations.verify.in_flight import InFlight
from pgsnow.operations.verify.open_table import OpenTable, Row
from pgsnow.operations.verify.row_difference import Cell, RowDifference
from pgsnow.operations.verify.source_rows import expected_rows
from pgsnow.operations.verify.streamed import BUCKETS, differing_keys
from pgsnow.operations.verify.streams import (
    PAGE,
    source_documents,
    source_rows,
    statements_for,
    target_documents,
    target_rows,
)
from pgsnow.postgres.compare.content import row_hash
from pgsnow.postgres.read.snapshot import Snapshot, open_snapshot
from pgsnow.snowflake.sql import compare_content
from pgsnow.snowflake.sql.compare import target_key
from pgsnow.sync.compare.compare import compare
from pgsnow.sync.compare.ranges import first_ranges
from pgsnow.sync.compare.sides import SourceSide, TargetSide
from pgsnow.sync.compare.value_text import key_of_values

LOOKS = 2
"""How often the rows of a key are read before they count as different."""


@dataclass(slots=True)
class Differences:
    """The differences of one table, found while they are iterated over, once; the counts are complete afterwards.
    Memory is bounded whatever the table's size."""

    found: Iterator[RowDifference]
    counts: ComparisonCounts = field(default_factory=ComparisonCounts)
    in_flight: int = 0
    """Keys that differ only because their rows changed after the last read, or during the comparison. They are not
    among the differences."""
    snapshot: int = 0
    """xmin of the source's snapshot that was compared: it shows every transaction below."""

    def __iter__(self) -> Iterator[RowDifference]:
        return self.found


def differences_of(
    table: OpenTable,
    *,
    content: bool = True,
    ranges: Sequence[KeyRange] | None = None,
    sample: float | None = None,
    pending_deletes: bool = False,
) -> Differences:
    """Compare one table. content: whole rows, not their keys alone. ranges: only these (None: all; a table that has no
    comparable key is always compared as a whole). sample: percent of the ranges to compare, chosen at random.
    pending_deletes: ghosts are in flight while a search for deleted rows is due because rows were deleted. Writes
    nothing.

    Raises, also while iterating, SourceUnavailable, SourceQueryFailed, SchemaMoved, TargetUnavailable, TargetMissing,
    TargetQueryFailed."""
    search = _Search(table, content, ranges, sample, pending_deletes)
    search.result.found = search.differences()
    return search.result


def count_source(table: OpenTable) -> int:
    """The number of rows that the target should hold, of which every value was computed. Raises what reading them
    raises."""
    if is_streamed(table):
        pages, _ = expected_rows(table.source, table.conn, table.prepared, table.rejected)
        return sum(map(len, pages(PAGE)))
    with table.source.copy_connection() as connection, open_snapshot(connection, table.plan) as snap:
        side = SourceSide(snap, table.plan, row_hash=row_hash(table.cells, table.encoding))
        (digest,) = side.digests([KeyRange()])
        return digest.rows


def is_streamed(table: OpenTable) -> bool:
    """True if whole rows are compared on our side: their values are computed by a transform, or they have neither a key
    nor a hash that both sides compute alike, or there are rejected rows that only a run can tell."""
    if table.computed or (table.rejected and not table.plan.pk):
        return True
    if any(f.type.snowflake == "FLOAT" for f in table.plan.key):
        return True
    doubles = any(cell.family == "FLOAT" for cell in table.cells)
    return not table.plan.target_key and (doubles or bool(table.documents) or _appends(table))


@dataclass
class _Search:
    table: OpenTable
    content: bool
    ranges: Sequence[KeyRange] | None
    sample: float | None
    pending_deletes: bool
    result: Differences = field(default_factory=lambda: Differences(iter(())))

    def __post_init__(self) -> None:
        table = self.table
        self.exact, self.flight = ExactRows(table), InFlight(table, self.pending_deletes)
        self.pages, self.rejected = expected_rows(table.source, table.conn, table.prepared, table.rejected)

    def differences(self) -> Iterator[RowDifference]:
        return self._of_streams() if is_streamed(self.table) else self._of_ranges()

    def _of_ranges(self) -> Iterator[RowDifference]:
        """Differences by digests of key ranges, and those of documents by streams of these."""
        table, plan = self.table, self.table.plan
        with (
            table.source.copy_connection() as connection,
            open_snapshot(connection, plan) as snap,
            ThreadPoolExecutor(1, "pgsnow-verify") as pool,
        ):
            self.result.snapshot = snap.x
            source, target = self._sides(snap)
            ranges = self._chosen(first_ranges(source, plan) if self.ranges is None else self.ranges)
            comparison = compare(*at_once(source, target, pool), plan, ranges)
            self.result.counts = comparison.counts
            yield from self._confirmed(one.key for one in comparison)
            if self.content and table.documents:
                yield from self._confirmed(self._with_other_documents(source, ranges), documents=True)

    def _sides(self, snap: Snapshot) -> tuple[SourceSide, TargetSide]:
        table, plan = self.table, self.table.plan
        unmarked = [table.unmarked] if table.unmarked else []
        if not self.content and plan.key:
            return SourceSide(snap, plan), TargetSide(table.session, plan, conditions=unmarked)
        here = compare_content.row_hash(table.cells, octets=table.unchecked_text)
        there = row_hash(table.cells, table.encoding)
        return SourceSide(snap, plan, row_hash=there), TargetSide(
            table.session, plan, row_hash=here, conditions=unmarked
        )

    def _chosen(self, ranges: Sequence[KeyRange]) -> list[KeyRange]:
        if self.sample is None:
            return list(ranges)
        count = max(1, round(len(ranges) * self.sample / 100))
        return [ranges[at] for at in sorted(random.sample(range(len(ranges)), count))]

    def _with_other_documents(self, source: SourceSide, ranges: Sequence[KeyRange]) -> Iterator[Key]:
        """The keys in these ranges whose rows have different documents."""
        mine, others, counts = source.key, target_key(self.table.plan.key), ComparisonCounts()
        self.result.counts.target_statements += statements_for(ranges)
        found = differing_keys(
            lambda: source_documents(self.table, mine, ranges),
            lambda: target_documents(self.table, others, ranges),
            counts,
        )
        for kind, key, _, _ in found:
            if kind is DifferenceKind.CHANGED:
                yield key

    def _confirmed(self, found: Iterator[Key], *, documents: bool = False) -> Iterator[RowDifference]:
        """The differences that are left when the rows with these keys are compared themselves. documents: only rows
        that differ in documents alone; the others were found before."""
        texts = {f.target for f in self.table.documents}
        while some := list(dict.fromkeys(islice(found, AT_ONCE))):
            for one in self._of_keys(some):
                if not documents or (one.cells and texts.issuperset(cell.column for cell in one.cells)):
                    yield one

    def _of_keys(self, keys: Sequence[Key]) -> list[RowDifference]:
        """The differences of these keys' rows; in flight are rows that the next run reads. Rows that the target gets
        between the two reads of a look are equal at the next one."""
        found: list[RowDifference] = []
        moving: set[Row] = set()
        for _ in range(LOOKS):
            found = []
            rows = self.exact.look(keys)
            for values in {**rows.source, **rows.target}:
                differing = self._of_rows(values, rows.source.get(values, []), rows.target.get(values, []))
                if self.flight.covers([d.kind for d in differing], is_unread=values in rows.unread):
                    moving.add(values)
                else:
                    found += differing
            keys = [one.key for one in found] if self.table.plan.key else keys
            if not found:
                break
        self.result.in_flight += len(moving)
        return found

    def _of_rows(self, values: Row, source: Sequence[Row], target: Sequence[Row]) -> list[RowDifference]:
        """The differences between the rows with this key."""
        plan = self.table.plan
        key = key_of_values(values, plan.key) if plan.key else ()
        why, surplus = self.rejected.get(values), len(target) - len(source)
        if not target:
            missing = source and why is None
            return [RowDifference(DifferenceKind.MISSING, key, values, len(source))] if missing else []
        if not source:
            return [RowDifference(DifferenceKind.GHOST, key, values, surplus, rejected=why)]
        found: list[RowDifference] = []
        changed = next((row for row in target if row not in source), None) if self.content else None
        if changed is not None:
            cells = tuple(
                Cell(f.target, mine, other)
                for f, mine, other in zip(plan.output, source[0], changed, strict=True)
                if mine != other
            )
            found.append(RowDifference(DifferenceKind.CHANGED, key, values, 1, cells, why))
        if surplus > 0:
            found.append(RowDifference(DifferenceKind.DUPLICATE, key, values, surplus))
        elif surplus < 0:
            found.append(RowDifference(DifferenceKind.MISSING, key, values, -surplus))
        return found

    def _of_streams(self) -> Iterator[RowDifference]:
        """Differences by streams of whole rows. In mode append the target keeps rows, each with an identity."""
        appends = _appends(self.table)
        chosen = None if self.sample is None else max(1, round(BUCKETS * self.sample / 100))
        buckets = range(BUCKETS) if chosen is None else random.sample(range(BUCKETS), chosen)
        streams = (
            lambda: source_rows(self.pages, self.exact),
            lambda: target_rows(self.table, self.exact),
        )
        for _, values, source, target in differing_keys(*streams, self.result.counts, buckets):
            differing = self._of_rows(values, source, target)
            late = self.flight.covers([d.kind for d in differing], is_unread=values in self.flight.keys)
            self.result.in_flight += late
            if not late:
                yield from (d for d in differing if not appends or d.kind is DifferenceKind.MISSING)
        if appends:
            for row in self.exact.repeated():
                yield RowDifference(DifferenceKind.DUPLICATE, (), row)


def _appends(table: OpenTable) -> bool:
    return table.plan.config.mode is TableMode.APPEND
