"""Reading through one snapshot: everything, or what is in the window (modes watermark, xmin and lookback)."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing
from types import TracebackType

import pyarrow as pa
from psycopg.sql import SQL, Composable, Literal

from pgsnow.model.batch import Page
from pgsnow.model.checkpoint import Checkpoint, Horizon
from pgsnow.model.plan import TablePlan
from pgsnow.postgres import sql
from pgsnow.postgres.connection import Source
from pgsnow.postgres.convert.convert import Converted, Converter
from pgsnow.postgres.convert.oversize import rows_of, select_list
from pgsnow.postgres.convert.oversize_split import LEFT_OUT, is_split, long_rows, short_rows
from pgsnow.postgres.incremental.next_checkpoint import advanced
from pgsnow.postgres.incremental.read_mode import CONTENT_CHANGED
from pgsnow.postgres.incremental.seen_xids import SeenXids, seen_xid
from pgsnow.postgres.incremental.strategy import ReadStrategy, approach
from pgsnow.postgres.incremental.window import Window
from pgsnow.postgres.read.last_watermark import LastWatermark, place_of_watermark, read_besides
from pgsnow.postgres.read.snapshot import Snapshot, check_still_there, snapshot

XID = "__pgsnow_xid"


class SnapshotReader:
    """One read. Use as a context manager; leaving it early cancels the query. See read.Reading."""

    resumable = False

    def __init__(
        self,
        source: Source,
        plan: TablePlan,
        checkpoint: Checkpoint | None,
        horizon: Horizon,
        *,
        full: bool,
        digest: str | None = None,
        because: str | None = None,
        whole_leaves: tuple[int, ...] = (),
    ) -> None:
        self._because = because
        self._digest = digest
        self._source = source
        self._plan = plan
        self._before = checkpoint
        self._horizon = horizon
        self._asked_for_all = full
        self._whole_leaves = whole_leaves
        self._open = ExitStack()
        self._pages: Generator[Page] | None = None
        self._exhausted = False
        self.full_read: str | None = None

    def __enter__(self) -> SnapshotReader:
        with ExitStack() as opening:
            connection = opening.enter_context(self._source.copy_connection())
            self._snapshot = opening.enter_context(snapshot(connection, self._plan))
            self._decide(self._snapshot)
            self._open = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pages is not None:
            self._pages.close()
            self._snapshot.connection.spoiled |= not self._exhausted
        self._open.__exit__(kind, error, trace)

    def _decide(self, now: Snapshot) -> None:
        self._approach: ReadStrategy = approach(
            now.fetch,
            self._plan,
            self._before,
            self._horizon,
            full=self._asked_for_all,
            because=self._because,
        )
        self.full_read = self._approach.full_read_at(self._before, now.x, now.xmax)
        if self._plan.whole and self.full_read is None:
            self.full_read = CONTENT_CHANGED
        before = None if self.full_read else self._before
        self._seen = SeenXids(before.seen if before else frozenset(), now.x)
        self._last = (
            LastWatermark(self._plan, before.last_watermark if before else None)
            if self._plan.watermark
            else None
        )

    def pages(self) -> Generator[Page]:
        self._pages = self._read()
        return self._pages

    def _read(self) -> Generator[Page]:
        arrival = Converter(self._plan, checks_text=self._snapshot.any_bytes)
        for query in self._queries():
            with closing(self._snapshot.batches(query)) as batches:
                for batch in batches:
                    arrived = arrival.convert(batch)
                    self._note(batch, arrived)
                    yield from arrived.pages(self._plan)
        check_still_there(self._snapshot, self._plan)
        self._exhausted = True

    @property
    def _window(self) -> Window | None:
        """What has changed; None: everything is read."""
        return None if self.full_read else self._approach.window

    def checkpoint(self) -> Checkpoint:
        if not self._exhausted:
            raise RuntimeError("a read through one snapshot may be remembered once all of it was loaded")
        now = self._snapshot
        return advanced(
            self._before,
            self._horizon,
            self._approach.step(now.x, now.xmax, standby=now.standby),
            full=self.full_read is not None,
            seen=self._seen.xids,
            last_watermark=self._last.text if self._last else None,
            digest=self._digest,
        )

    def _queries(self) -> Iterator[Composable]:
        """One after another: what the next one is shows when the one before has been read."""
        if not self._snapshot.long_values:
            yield self._query(guard=False)
        elif self._window is not None or not is_split(self._plan):
            yield self._query(guard=True)
        else:
            yield self._query(guard=False, part=short_rows(self._plan))
            if self._snapshot.fetch(LEFT_OUT) == [(True,)]:
                yield self._query(guard=True, part=long_rows(self._plan))

    def _query(self, *, guard: bool, part: Composable | None = None) -> Composable:
        extra = read_besides(self._plan)
        condition = sql.both([sql.where_given(self._plan)])
        if (window := self._window) is not None:
            extra.append((self._seen_xid(window), XID))
            condition = self._of_whole_leaves_or(window.condition(Literal(self._snapshot.xmax)))
        if part is not None:
            condition = SQL("({})\n  and {}").format(condition, part)
        return SQL("select {}\nfrom {}\nwhere {}").format(
            select_list(self._plan, extra, guard=guard), rows_of(self._plan, guard=guard), condition
        )

    def _seen_xid(self, window: Window) -> Composable:
        """What comes for its leaf's sake may have any xid, which the window does not tell from one it has."""
        xid = seen_xid(self._plan, window, self._snapshot.xmax, self._horizon, self._approach.feed)
        if not self._whole_leaves:
            return xid
        return SQL("case when not {} then {} end").format(sql.in_leaves(self._whole_leaves), xid)

    def _of_whole_leaves_or(self, condition: Composable) -> Composable:
        if not self._whole_leaves:
            return condition
        whole = sql.both([sql.in_leaves(self._whole_leaves), sql.where_given(self._plan)])
        return SQL("({})\n  or ({})").format(condition, whole)

    def _note(self, batch: pa.RecordBatch, arrived: Converted) -> None:
        if self._last is not None:
            self._last.see(batch.column(place_of_watermark(self._plan)), arrived.good)
        if (at := batch.schema.get_field_index(XID)) >= 0:
            self._seen.see(batch.column(at))
