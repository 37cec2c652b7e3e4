"""The two sides of a comparison: the source in a snapshot, and the target."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from psycopg.sql import Composable

from pgsnow.model.key_range import Key, KeyRange, RangeDigest
from pgsnow.model.plan import TablePlan
from pgsnow.postgres.read.snapshot import Snapshot
from pgsnow.snowflake.session import Session

Row = tuple[Key, tuple[int, ...]]
"""A row's key, and the pieces of the hash of its content; () without content."""


class Side(Protocol):
    """One side of a comparison. Sums of both sides are computed alike, so equal digests mean equal keys (with content:
    equal rows). Nothing is written."""

    statements: int
    """Statements sent so far."""

    def digests(self, ranges: Sequence[KeyRange]) -> list[RangeDigest]:
        """The digest of each of these disjoint, ascending ranges, in one or two statements (more if their text would be
        too long)."""
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

    content: expressions of integers below 2^60 over a row, pieces of the hash of its content, key included; the digests
    then hold their sums alone. row_hash: for a table without a key an expression of type text, which serves as its key.

    Methods raise SourceUnavailable, SourceQueryFailed, SchemaMoved."""

    def __init__(
        self,
        snap: Snapshot,
        plan: TablePlan,
        *,
        content: Sequence[Composable] = (),
        row_hash: Composable | None = None,
        conditions: Sequence[Composable] = (),
    ) -> None:
        self._snap, self._plan, self._conditions = snap, plan, conditions
        self._content, self._row_hash = content, row_hash
        self.statements = 0

    def digests(self, ranges: Sequence[KeyRange]) -> list[RangeDigest]:
        raise NotImplementedError

    def bounds(self, ranges: Sequence[KeyRange], rows: Sequence[int], parts: int) -> list[list[Key]]:
        raise NotImplementedError

    def rows(self, ranges: Sequence[KeyRange]) -> Iterator[Row]:
        raise NotImplementedError


class TargetSide:
    """The target's rows, without those marked as deleted. conditions: further ones, as SQL. content, row_hash: as in
    SourceSide, in Snowflake's SQL.

    Methods raise TargetUnavailable, TargetMissing, TargetQueryFailed."""

    def __init__(
        self,
        session: Session,
        plan: TablePlan,
        *,
        content: Sequence[str] = (),
        row_hash: str | None = None,
        conditions: Sequence[str] = (),
    ) -> None:
        self._session, self._plan, self._conditions = session, plan, conditions
        self._content, self._row_hash = content, row_hash
        self.statements = 0

    def digests(self, ranges: Sequence[KeyRange]) -> list[RangeDigest]:
        raise NotImplementedError

    def bounds(self, ranges: Sequence[KeyRange], rows: Sequence[int], parts: int) -> list[list[Key]]:
        raise NotImplementedError

    def rows(self, ranges: Sequence[KeyRange]) -> Iterator[Row]:
        raise NotImplementedError
