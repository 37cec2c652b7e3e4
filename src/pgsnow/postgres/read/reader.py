"""Reading a table: its rows in pages, and the checkpoint to continue from.

Modes watermark, xmin, lookback, full and append read through one snapshot (here); `late_rows: off` reads page
by page in the order of watermark and key (keyset_reader.py)."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from types import TracebackType

import pyarrow as pa
import pyarrow.compute as pc
from psycopg.sql import SQL, Composable, Identifier, Literal

from pgsnow.model.batch import Page
from pgsnow.model.checkpoint import MAX_SEEN, Checkpoint, Horizon, ReadMode
from pgsnow.model.plan import TablePlan
from pgsnow.postgres import sql
from pgsnow.postgres.connection import Source
from pgsnow.postgres.convert.convert import Converter
from pgsnow.postgres.convert.oversize import from_clause, select_list
from pgsnow.postgres.convert.oversize_split import ANY_LEFT_OUT, can_split, fitting_rows, oversize_rows
from pgsnow.postgres.incremental.content_hash import ROW_HASHES, row_hashes
from pgsnow.postgres.incremental.next_checkpoint import next_checkpoint
from pgsnow.postgres.incremental.strategy import CONTENT_CHANGED, choose_strategy, mode_of, seen_xid
from pgsnow.postgres.incremental.updates import count_updates
from pgsnow.postgres.incremental.window import EPOCH
from pgsnow.postgres.read.keyset_reader import KeysetReader
from pgsnow.postgres.read.last_watermark import LastWatermark, extra_column, watermark_index
from pgsnow.postgres.read.snapshot import Snapshot, open_snapshot

XID = "__pgsnow_xid"
"""Name of the column with the rows' xids."""


@dataclass(slots=True)
class SeenXids:
    """Xids from `x` on whose rows were read while an older transaction still kept the window open, so that each is read
    once; at most MAX_SEEN, because a forgotten one only costs a second read of its rows."""

    x: int
    xids: set[int]

    def add(self, xids: pa.Array) -> None:
        """Add the xids of a batch's rows, an int64 array."""
        if len(self.xids) < MAX_SEEN:
            new = pc.unique(xids.filter(pc.greater_equal(xids, self.x)))
            self.xids.update(new.to_pylist()[: MAX_SEEN - len(self.xids)])


@dataclass(slots=True)
class ContentSums:
    """The parts of a content hash, added up over the rows that were read: their number, and two sums of hashes."""

    rows: int = 0
    sums: tuple[int, int] = (0, 0)

    def add(self, batch: pa.RecordBatch) -> None:
        """Add a batch's rows, also those that will be rejected; without columns of hashes nothing."""
        columns = [batch.schema.get_field_index(name) for name in ROW_HASHES]
        if min(columns) >= 0:
            first, second = (_sum(batch.column(at)) for at in columns)
            self.rows += batch.num_rows
            self.sums = (self.sums[0] + first, self.sums[1] + second)

    def __str__(self) -> str:
        return f"{self.rows}:{self.sums[0]}:{self.sums[1]}"


def _sum(hashes: pa.Array) -> int:
    """The exact sum of 64-bit integers: that of their upper halves, and that of their lower ones."""
    upper, lower = pc.shift_right(hashes, 32), pc.bit_wise_and(hashes, 0xFFFFFFFF)
    return ((pc.sum(upper).as_py() or 0) << 32) + (pc.sum(lower).as_py() or 0)


@dataclass(eq=False)
class SnapshotReader:
    """Reads everything, or the rows of a window, through one snapshot. Parameters and use: see `open_reader`."""

    source: Source
    plan: TablePlan
    before: Checkpoint | None
    horizon: Horizon
    full: bool = False
    because: str | None = None
    whole_leaves: tuple[int, ...] = ()

    resumable = False
    """`checkpoint()` may be called after the last page only."""
    full_read: str | None = field(default=None, init=False)
    """Why everything is read; None: only what changed. Known once entered."""
    at_end: Callable[[Snapshot], None] | None = field(default=None, init=False)
    """Called with the snapshot after its last page, before it is closed."""
    _open: ExitStack = field(default_factory=ExitStack, init=False, repr=False)
    _pages: Generator[Page] | None = field(default=None, init=False, repr=False)
    _exhausted: bool = field(default=False, init=False, repr=False)
    _content: ContentSums = field(default_factory=ContentSums, init=False, repr=False)

    def __enter__(self) -> SnapshotReader:
        """Locks the table against changes of its definition, opens the snapshot and decides what is read.

        Raises SchemaMoved if the table is no longer as `plan.fingerprint` says, SourceUnavailable (also if another
        session keeps it locked), SourceTableMissing, SourceAccessDenied."""
        with ExitStack() as opening:
            connection = opening.enter_context(self.source.copy_connection())
            self._snapshot = opening.enter_context(
                open_snapshot(connection, self.plan, reads_log=self.horizon.reads_log)
            )
            snap, before = self._snapshot, self.before
            self._strategy = choose_strategy(
                snap.fetch, self.plan, before, self.horizon, full=self.full, because=self.because
            )
            self.full_read = self._strategy.full_read_at(before, snap.x, snap.xmax)
            if self.plan.whole and self.full_read is None:
                self.full_read = CONTENT_CHANGED
            self._window = None if self.full_read else self._strategy.window
            # Without xmin, the audit compares the content with what was read.
            everything = self._window is None or self._window.bound is None
            self._hashes = self.plan.whole or (everything and not self.plan.has_xmin)
            before = None if self.full_read else before
            seen = before.seen if before and not (self._window and self._window.always_from) else ()
            self._seen = SeenXids(snap.x, {xid for xid in seen if xid >= snap.x})
            self._last = (
                LastWatermark(self.plan, before.last_watermark if before else None)
                if self.plan.watermark
                else None
            )
            self._open = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cancels the query if rows are still coming; its thread has ended when this returns."""
        if self._pages is not None:
            self._pages.close()
            self._snapshot.connection.spoiled |= not self._exhausted
        self._open.__exit__(kind, error, trace)

    @property
    def mode(self) -> ReadMode:
        """The mode of the read, once entered."""
        return self._strategy.mode

    def count_updates(self) -> int:
        """The number of updates that the server has counted on the table. Before the first page."""
        [(count,)] = self._snapshot.fetch(count_updates(self.plan))
        return int(str(count))

    @property
    def reads_once(self) -> bool:
        """True if no row version that the read before has read is read again. (A server with more than 2^32 xids shows
        frozen rows under xids of today; a forgotten one of too many seen xids is read again.)"""
        window, before = self._window, self.before
        if window is None or before is None or self.whole_leaves or not self.plan.has_xmin:
            return False
        exact = (window.since, window.seen, window.again, window.always_from) == (
            before.x, before.seen, frozenset(), None,
        )  # fmt: skip
        return exact and len(before.seen) < MAX_SEEN and self._snapshot.xmax < EPOCH

    @property
    def notes_seen(self) -> bool:
        """True if the checkpoint will name every transaction from its `x` on whose rows were read, so that the next
        read has none of them again. A read of rows whatever their xid does not show which of them are new."""
        window = self._window
        return window is not None and window.always_from is None and not self.whole_leaves

    def pages(self) -> Generator[Page]:
        """The rows, once: at most `batch_size` a page where a function is given them; columns named and typed as
        `plan.fields` say.

        Raises SourceUnavailable when the connection breaks, SourceQueryFailed when the statement fails, SchemaMoved
        when the relation was replaced meanwhile."""
        self._pages = self._read()
        return self._pages

    def _read(self) -> Generator[Page]:
        converter = Converter(self.plan, checks_text=self._snapshot.unchecked_text)
        for query in self._queries():
            with closing(self._snapshot.batches(query)) as batches:
                for batch in batches:
                    converted = converter.convert(batch)
                    if self._last is not None:
                        self._last.add(batch.column(watermark_index(self.plan)), converted.good)
                    if (at := batch.schema.get_field_index(XID)) >= 0:
                        self._seen.add(batch.column(at))
                    if self._hashes:
                        self._content.add(batch)
                    yield from converted.pages(self.plan)
        if self.at_end is not None:
            self.at_end(self._snapshot)
        self._exhausted = True
        self._open.close()  # loading the last rows may take long, and a standby cancels sessions that hold a snapshot

    def checkpoint(self) -> Checkpoint:
        """The checkpoint that may be saved once all pages are in the target. Raises RuntimeError before the last page
        was read."""
        if not self._exhausted:
            raise RuntimeError("the checkpoint of a read through one snapshot exists once all of it was read")
        snap = self._snapshot
        return next_checkpoint(
            self.before,
            self.horizon,
            self._strategy.read_point(snap.x, snap.xmax, standby=snap.standby, lsn=snap.lsn),
            full=self.full_read is not None,
            seen=self._seen.xids,
            last_watermark=self._last.text if self._last else None,
            content_hash=str(self._content) if self._hashes else None,
        )

    def _queries(self) -> Iterator[Composable]:
        """The statements, one after another: whether there is a second one is known when the first has been read."""
        if not self._snapshot.may_hold_oversize:
            yield self._query(guard=False)
        elif self._window is not None or not can_split(self.plan):
            yield self._query(guard=True)
        else:
            yield self._query(guard=False, part=fitting_rows(self.plan))
            if self._snapshot.fetch(ANY_LEFT_OUT) == [(True,)]:
                yield self._query(guard=True, part=oversize_rows(self.plan))

    def _query(self, *, guard: bool, part: Composable | None = None) -> Composable:
        extra, source = extra_column(self.plan), from_clause(self.plan, guard=guard)
        if self._hashes:
            extra.extend((Identifier(name), name) for name in ROW_HASHES)
            source = SQL("{}, {}").format(source, row_hashes(self.plan))
        condition = sql.both([sql.where_given(self.plan)])
        if (window := self._window) is not None:
            xmax = self._snapshot.xmax
            condition = window.condition(Literal(xmax))
            xid = None
            if self.plan.has_xmin:
                xid = seen_xid(self.plan, window, xmax, self.horizon, self._strategy.sequence)
            if self.whole_leaves:
                whole = sql.both([sql.in_leaves(self.whole_leaves), sql.where_given(self.plan)])
                condition = SQL("({})\n  or ({})").format(condition, whole)
                # Rows of such a leaf may have any xid, which the window cannot distinguish from one of its own.
                if xid is not None:
                    xid = SQL("case when not {} then {} end").format(sql.in_leaves(self.whole_leaves), xid)
            if xid is not None:
                extra.append((xid, XID))
        if part is not None:
            condition = SQL("({})\n  and {}").format(condition, part)
        return SQL("select {}\nfrom {}\nwhere {}").format(
            select_list(self.plan, extra, guard=guard), source, condition
        )


Reader = SnapshotReader | KeysetReader
"""One read of one table."""


def open_reader(
    source: Source,
    plan: TablePlan,
    checkpoint: Checkpoint | None,
    horizon: Horizon,
    *,
    full: bool = False,
    because: str | None = None,
    whole_leaves: tuple[int, ...] = (),
) -> Reader:
    """A reader of the table: a context manager; leaving it early cancels the query and ends its thread.

    checkpoint: where the last read ended (None: there was none). horizon: taken before the reader is entered.
    full: a person requested a full read. because: why everything must be read, whatever the checkpoint says.
    whole_leaves: oids of tables below the source's whose rows are all read, whatever their age (newly attached ones).

    Pages come in no particular order (in CURSOR mode in the order of watermark and key). Every row version that was not
    visible to the read before and is visible to this one is in a page, or in its `rejected`; a row may come again after
    a crash or a full read. Nothing is stored until the caller saves `checkpoint()`.
    """
    if mode_of(plan, checkpoint) is ReadMode.CURSOR:
        return KeysetReader(source, plan, checkpoint, horizon, full, because, whole_leaves)
    return SnapshotReader(source, plan, checkpoint, horizon, full, because, whole_leaves)
