"""late_rows: off. Pages in the order of (watermark, key), each in a snapshot of its own, from a cursor on.

Rows that commit behind the cursor are never read: that is the risk of this mode. What it does keep: ties at the end
of a page (the key breaks them), and the cursor stays put at NULL and infinite watermarks. Rows that have one are read
by a full read only. Comparing rows: https://www.postgresql.org/docs/current/functions-comparisons.html#ROW-WISE-COMPARISON
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack
from types import TracebackType

import pyarrow as pa
from psycopg.sql import SQL, Composable, Literal

from pgsnow.model.batch import Page
from pgsnow.model.checkpoint import Checkpoint, Horizon, ReadMode
from pgsnow.model.plan import TablePlan
from pgsnow.postgres import sql
from pgsnow.postgres.connection import Source
from pgsnow.postgres.convert.convert import Converter
from pgsnow.postgres.convert.oversize import rows_of, select_list
from pgsnow.postgres.incremental.keyset import beyond, order_columns, orderly
from pgsnow.postgres.incremental.next_checkpoint import Step, advanced
from pgsnow.postgres.incremental.read_mode import reason_to_read_all
from pgsnow.postgres.read.last_watermark import LastWatermark
from pgsnow.postgres.read.snapshot import Snapshot, snapshot


class KeysetReader:
    """One read. Resumable: after each page the checkpoint may be saved. See read.Reading."""

    resumable = True

    def __init__(
        self,
        source: Source,
        plan: TablePlan,
        checkpoint: Checkpoint | None,
        horizon: Horizon,
        *,
        full: bool,
        because: str | None = None,
        whole_leaves: tuple[int, ...] = (),
    ) -> None:
        self._source = source
        self._plan = plan
        self._horizon = horizon
        reason = reason_to_read_all(plan, checkpoint, horizon)
        self.full_read = because or reason or ("asked for" if full else None)
        self._before = None if self.full_read else checkpoint
        self._whole_leaves = whole_leaves
        self._cursor = self._before.cursor if self._before else None
        self._last = LastWatermark(plan, self._before.last_watermark if self._before else None)
        self._step: Step | None = None
        self._open = ExitStack()
        self._pages: Generator[Page] | None = None

    def __enter__(self) -> KeysetReader:
        self._connection = self._open.enter_context(self._source.copy_connection())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pages is not None:
            self._pages.close()
        self._open.__exit__(kind, error, trace)

    def pages(self) -> Generator[Page]:
        self._pages = self._read()
        return self._pages

    def _read(self) -> Generator[Page]:
        if self.full_read is not None:
            yield from self._unordered(SQL("({}) is not true").format(orderly(self._plan)))
        elif self._whole_leaves:
            yield from self._unordered(sql.in_leaves(self._whole_leaves))
        while True:
            found, pages = self._next_page()
            yield from pages
            if found < self._plan.config.batch_size:
                return

    def checkpoint(self) -> Checkpoint:
        if self._step is None:
            raise RuntimeError("nothing was read yet")
        return advanced(
            self._before,
            self._horizon,
            self._step,
            full=self._before is None,
            last_watermark=self._last.text,
            cursor=self._cursor,
        )

    def _unordered(self, which: Composable) -> Iterator[Page]:
        """Rows that the cursor has no place for (their watermark is NULL or infinite), or that are behind it."""
        condition = sql.both([which, sql.where_given(self._plan)])
        with snapshot(self._connection, self._plan) as now:
            self._begin(now)
            query = SQL("select {} from {} where {}").format(
                select_list(self._plan, guard=now.long_values),
                rows_of(self._plan, guard=now.long_values),
                condition,
            )
            arrival = Converter(self._plan, checks_text=now.any_bytes)
            for batch in now.batches(query):
                yield from arrival.convert(batch).pages(self._plan)

    def _next_page(self) -> tuple[int, Sequence[Page]]:
        """How many rows there were, and the page (none, if all there is has been read)."""
        with snapshot(self._connection, self._plan) as now:
            self._begin(now)
            batches = list(now.batches(self._query(guard=now.long_values)))
        if not batches:
            return 0, ()
        batch = concat(batches)
        arrived = Converter(self._plan, checks_text=now.any_bytes).convert(batch)
        fields = len(self._plan.fields)
        self._last.see(batch.column(fields), arrived.good)
        last = batch.slice(batch.num_rows - 1)
        self._cursor = tuple(
            str(column[0].as_py())
            for column in last.columns[fields + 1 : fields + 1 + len(order_columns(self._plan))]
        )
        return batch.num_rows, list(arrived.pages(self._plan))

    def _begin(self, now: Snapshot) -> None:
        """The checkpoint tells the snapshot that the read began with."""
        self._step = self._step or Step(ReadMode.CURSOR, now.x, now.xmax, shape=self._plan.shape)

    def _query(self, *, guard: bool) -> Composable:
        order = order_columns(self._plan)
        extra = [(sql.watermark(self._plan), "__pgsnow_watermark")] + [
            (SQL("{}::text").format(column), f"__pgsnow_cursor_{at}") for at, column in enumerate(order)
        ]
        return SQL("select {}\nfrom {}\nwhere {}\norder by {}\nlimit {}").format(
            select_list(self._plan, extra, guard=guard),
            rows_of(self._plan, guard=guard),
            beyond(self._plan, self._cursor),
            SQL(", ").join(SQL("{}.{}").format(sql.table(self._plan), column) for column in order),
            Literal(self._plan.config.batch_size),
        )


def concat(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """All their rows. A column that is a decimal in one batch and text in another is text. `batches` is not empty."""
    columns = [_together([batch.column(at) for batch in batches]) for at in range(batches[0].num_columns)]
    return pa.RecordBatch.from_arrays(columns, names=batches[0].schema.names)


def _together(parts: Sequence[pa.Array]) -> pa.Array:
    if len({part.type for part in parts}) > 1:
        parts = [part.cast(pa.string()) for part in parts]
    return pa.concat_arrays(parts)
