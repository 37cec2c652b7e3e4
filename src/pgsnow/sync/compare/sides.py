"""The two sides of a comparison: the source in a snapshot, and the target."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cached_property
from typing import Any, Protocol

from psycopg.sql import Composable

from pgsnow.model.key_range import Key, KeyRange, RangeDigest
from pgsnow.model.plan import TablePlan
from pgsnow.postgres.compare import digests as source_sql
from pgsnow.postgres.compare.keys import ROW_HASH, SourceKey, hash_pieces, source_key
from pgsnow.postgres.errors import translating
from pgsnow.postgres.read.snapshot import Snapshot
from pgsnow.snowflake.session import LONGEST_SQL, Result
from pgsnow.snowflake.sql import compare as target_sql
from pgsnow.snowflake.sql.soft_deletes import UNMARKED
from pgsnow.sync.compare.answers import chunks, keys_by_range, source_texts, target_text

Row = tuple[Key, tuple[int, ...]]
"""A row's key, and the pieces of the hash of its content; () without content."""
RANGES_AT_ONCE = 500
"""Ranges in one statement at most."""
ENTRY_BYTES = 40
"""About the size of an index entry, for the limit of `max_mb_per_s`."""
UNLIKE = -1
"""In place of sums where the two sides write keys differently (FLOAT): the target's digest equals none of the
source's, so that keys themselves are compared."""


class Side(Protocol):
    """One side of a comparison. Sums of both sides are computed alike, so equal digests mean equal keys (with content:
    equal rows). Nothing is written."""

    @property
    def statements(self) -> int:
        """Statements sent so far, without SETs."""

    @property
    def ordered(self) -> bool:
        """`bounds` is cheap: an index has the key's order, or it is another's computer that sorts."""

    def digests(self, ranges: Sequence[KeyRange]) -> list[RangeDigest]:
        """The digest of each of these disjoint, ascending ranges, in one statement (more if its text would be too
        long)."""
        ...

    def bounds(self, ranges: Sequence[KeyRange], rows: Sequence[int], parts: int) -> list[list[Key]]:
        """For each range at most parts - 1 ascending keys inside it that cut it into parts with about as many rows
        each; fewer, or none, if it holds fewer keys. rows: how many rows each range holds here. One statement."""
        ...

    def rows(self, ranges: Sequence[KeyRange]) -> Iterator[Row]:
        """The rows of these ranges in no particular order, streamed. One statement."""
        ...


class SourceSide:
    """The source's rows that `where` admits, in an open snapshot. conditions: further ones, such as keys to leave out.
    Rows whose key has a NULL are left out: they identify no row.

    row_hash: an expression of type text, the MD5 of a row's content, key included. With it, digests and rows tell
    contents apart, and a table without a key is compared by it. content: other integer expressions below 2^60 for
    that; they may use the column `keys.ROW_HASH`.

    Methods raise SourceUnavailable, SourceQueryFailed, SchemaMoved. No other statement may run in the snapshot while
    `rows` is read."""

    def __init__(
        self,
        snap: Snapshot,
        plan: TablePlan,
        *,
        content: Sequence[Composable] = (),
        row_hash: Composable | None = None,
        conditions: Sequence[Composable] = (),
    ) -> None:
        self._snap, self._plan = snap, plan
        self._content, self._row_hash, self._conditions = tuple(content), row_hash, tuple(conditions)
        self._limit = plan.config.max_mb_per_s
        self.statements = 0

    @cached_property
    def key(self) -> SourceKey:
        """The key as the source compares it. One short query at the first use."""
        self.statements += 1
        return source_key(self._snap.fetch, self._plan)

    @property
    def ordered(self) -> bool:
        return self.key.served

    @cached_property
    def _rows(self) -> source_sql.SourceRows:
        content = self._content
        if self._row_hash is not None and not content and self._plan.key:
            content = hash_pieces(ROW_HASH)
        return source_sql.SourceRows(self._plan, self.key, content, self._row_hash, self._conditions)

    @cached_property
    def _keys(self) -> source_sql.SourceRows:
        """The rows without their contents."""
        row_hash = None if self._plan.key else self._row_hash
        return source_sql.SourceRows(self._plan, self.key, (), row_hash, self._conditions)

    def digests(self, ranges: Sequence[KeyRange]) -> list[RangeDigest]:
        found = [RangeDigest()] * len(ranges)
        at_once = RANGES_AT_ONCE if self._limit is None or not self.key.served else 1
        for start, some in chunks(ranges, at_once):
            began, counted = time.monotonic(), 0
            for number, count, *sums in self._fetch(source_sql.digests(self._rows, some), some):
                counted += count
                if number is not None:
                    found[start + number] = RangeDigest(count, tuple(map(int, sums)))
            self._wait(began, counted * ENTRY_BYTES)
        return found

    def bounds(self, ranges: Sequence[KeyRange], rows: Sequence[int], parts: int) -> list[list[Key]]:
        steps = [max(1, -(-count // parts)) for count in rows]
        found: list[list[Key]] = []
        for start, some in chunks(ranges, RANGES_AT_ONCE):
            query = source_sql.bounds(self._keys, some, steps[start : start + len(some)])
            found += keys_by_range(self._fetch(query, some), len(some), self._may_bound)
        return found

    def _may_bound(self, key: Key) -> bool:
        return all(column.kind.may_bound(text) for column, text in zip(self.key.columns, key, strict=True))

    def sampled(self, percent: float, parts: int) -> tuple[int, list[Key]]:
        """The number of rows in a sample of this share of the table, and at most parts - 1 ascending keys that cut it
        into parts of the same size. One statement."""
        self.statements += 1
        rows = self._snap.fetch(source_sql.sampled_bounds(self._keys, percent, parts))
        total = int(str(rows[0][0])) if rows else 0
        return total, keys_by_range([(0, *row[1:]) for row in rows], 1, self._may_bound)[0]

    def written(self, condition: Composable, percent: float, most: int) -> list[Key]:
        """The keys of at most so many rows for which the condition holds, in a sample of this share of the table. One
        statement."""
        found = self._fetch(source_sql.sampled_keys(self._keys, condition, percent, most), [KeyRange()])
        return keys_by_range([(0, at, *row) for at, row in enumerate(found)], 1, lambda _key: True)[0]

    def extremes(self) -> tuple[int, int] | None:
        """The smallest and the largest key of a table whose key is one integer column; None if it is empty."""
        self.statements += 1
        with translating(self._snap.table):
            ((low, high),) = self._snap.fetch(source_sql.extremes(self._keys))
        return None if low is None else (int(str(low)), int(str(high)))

    def rows(self, ranges: Sequence[KeyRange]) -> Iterator[Row]:
        width = len(self.key.columns)
        for _, some in chunks(ranges, RANGES_AT_ONCE):
            self.statements += 1
            with (
                self._settings(some),
                closing(self._snap.batches(source_sql.rows_of(self._rows, some))) as read,
            ):
                for batch in read:
                    began = time.monotonic()
                    columns = [source_texts(column) for column in batch.columns[:width]]
                    pieces = [column.to_pylist() for column in batch.columns[width:]]
                    contents: Iterable[Any] = zip(*pieces, strict=True) if pieces else ((),) * batch.num_rows
                    yield from zip(zip(*columns, strict=True), contents, strict=True)
                    self._wait(began, batch.nbytes)

    def _fetch(self, query: Composable, ranges: Sequence[KeyRange]) -> list[tuple[Any, ...]]:
        self.statements += 1
        with self._settings(ranges):
            return self._snap.fetch(query)

    @contextmanager
    def _settings(self, ranges: Sequence[KeyRange]) -> Iterator[None]:
        """The planner's settings for a scan of these ranges, in this transaction and for the block."""
        part = self.key.served and (ranges[0].first is not None or ranges[-1].end is not None)
        with translating(self._snap.table):
            self._snap.connection.run("; ".join(source_sql.INDEX_SCAN if part else source_sql.WHOLE_SCAN))
            yield
            self._snap.connection.run(source_sql.AFTERWARDS)

    def _wait(self, began: float, size: int) -> None:
        if self._limit is not None:
            time.sleep(max(0.0, size / (self._limit * 1024 * 1024) - (time.monotonic() - began)))


class Executes(Protocol):
    """Executes statements in Snowflake, such as a Session."""

    def execute(self, sql: str) -> Result:
        """Execute one statement and fetch its whole result."""


class TargetSide:
    """The target's rows that have a key, without those marked as deleted. conditions: further ones, as SQL. content,
    row_hash: as in SourceSide, in Snowflake's SQL.

    Methods raise TargetUnavailable, TargetMissing, TargetQueryFailed."""

    ordered = True

    def __init__(
        self,
        session: Executes,
        plan: TablePlan,
        *,
        content: Sequence[str] = (),
        row_hash: str | None = None,
        conditions: Sequence[str] = (),
    ) -> None:
        key = target_sql.target_key(plan.key)
        content = tuple(content)
        if row_hash is not None and not content and plan.key:
            content = target_sql.hash_pieces(target_sql.ROW_HASH)
        limits = tuple(dict.fromkeys((*([UNMARKED] if plan.marks_deleted else ()), *conditions)))
        self._session, self._like = session, bool(content or key.pieces)
        self._rows = target_sql.TargetRows(plan.target, key, content, row_hash or "", limits)
        keys_hash = "" if plan.key else row_hash or ""
        self._keys = target_sql.TargetRows(plan.target, key, (), keys_hash, limits)
        self._may_bound = [kind.may_bound for _, kind in key.columns]
        self.statements = 0

    def digests(self, ranges: Sequence[KeyRange]) -> list[RangeDigest]:
        found = [RangeDigest()] * len(ranges)
        for start, some in self._chunks(ranges):
            for number, count, *sums in self._execute(target_sql.digests(self._rows, some)):
                values = tuple(map(int, sums)) if self._like else (UNLIKE,)
                found[start + int(number)] = RangeDigest(int(count), values)
        return found

    def bounds(self, ranges: Sequence[KeyRange], rows: Sequence[int], parts: int) -> list[list[Key]]:
        steps = [max(1, -(-count // parts)) for count in rows]
        found: list[list[Key]] = []
        for start, some in self._chunks(ranges):
            query = target_sql.bounds(self._keys, some, steps[start : start + len(some)])
            found += keys_by_range(self._execute(query), len(some), self._may_be_bound)
        return found

    def _may_be_bound(self, key: Key) -> bool:
        return all(may(text) for may, text in zip(self._may_bound, key, strict=True))

    def rows(self, ranges: Sequence[KeyRange]) -> Iterator[Row]:
        width = len(self._rows.key.columns)
        for _, some in self._chunks(ranges):
            for row in self._execute(target_sql.rows_of(self._rows, some)):
                yield tuple(map(target_text, row[:width])), tuple(map(int, row[width:]))

    def _execute(self, query: str) -> list[tuple[Any, ...]]:
        self.statements += 1
        return self._session.execute(query).rows

    def _chunks(self, ranges: Sequence[KeyRange]) -> Iterator[tuple[int, Sequence[KeyRange]]]:
        """Ranges whose statement is not too long: its text holds the condition of each range four times at most."""
        longest = max((len(self._rows.key.within(one).encode()) for one in ranges), default=1)
        return chunks(ranges, max(1, min(RANGES_AT_ONCE, LONGEST_SQL // 2 // (4 * longest + 200))))
