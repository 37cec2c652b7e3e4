"""The reader of `late_rows: off`: pages in the order of (watermark, key), each in a snapshot of its own.

Rows that commit behind the cursor are never read: that is the risk of this mode. Rows with equal watermarks
at the end of a page are not lost, as the key orders them. Rows with a NULL or infinite watermark do not move
the cursor and are read by a full read only. Comparing rows:
https://www.postgresql.org/docs/current/functions-comparisons.html#ROW-WISE-COMPARISON"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import InitVar, dataclass, field, replace
from types import TracebackType

import pyarrow as pa
from psycopg.sql import SQL, Composable, Literal

from pgsnow.model.batch import Page
from pgsnow.model.checkpoint import Checkpoint, Horizon, ReadMode
from pgsnow.model.plan import TablePlan
from pgsnow.postgres import sql
from pgsnow.postgres.connection import Source
from pgsnow.postgres.convert.convert import Converter
from pgsnow.postgres.convert.oversize import from_clause, select_list
from pgsnow.postgres.incremental.keyset import beyond, has_order, order_columns
from pgsnow.postgres.incremental.next_checkpoint import ReadPoint, next_checkpoint
from pgsnow.postgres.incremental.strategy import reason_to_read_all
from pgsnow.postgres.read.last_watermark import LastWatermark
from pgsnow.postgres.read.snapshot import Snapshot, open_snapshot


@dataclass(eq=False)
class KeysetReader:
    """Reads page by page in the order of watermark and key, each page in a snapshot of its own.

    Parameters and use: see reader.open_reader."""

    source: Source
    plan: TablePlan
    checkpoint_before: InitVar[Checkpoint | None]
    horizon: Horizon
    full: InitVar[bool] = False
    because: InitVar[str | None] = None
    whole_leaves: tuple[int, ...] = ()

    resumable = True
    """`checkpoint()` may be called, and saved, after each page."""
    reads_once = False
    """As in SnapshotReader."""
    full_read: str | None = field(default=None, init=False)
    """Why everything is read; None: only what changed."""

    def __post_init__(self, checkpoint_before: Checkpoint | None, full: bool, because: str | None) -> None:
        reason = reason_to_read_all(self.plan, checkpoint_before, self.horizon)
        self.full_read = because or reason or ("requested" if full else None)
        self._before = None if self.full_read else checkpoint_before
        self._cursor = self._before.cursor if self._before else None
        self._stored_cursor = self._cursor
        """The last one that the ledger can store: without bytes that are in no encoding. Rows behind it come again."""
        self._last = LastWatermark(self.plan, self._before.last_watermark if self._before else None)
        self._point: ReadPoint | None = None
        self._pages: Generator[Page] | None = None

    def __enter__(self) -> KeysetReader:
        """Each page takes a connection: the server may end one that is idle while a page is loaded."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cancels the query if rows are still coming; its thread has ended when this returns."""
        if self._pages is not None:
            self._pages.close()

    def pages(self) -> Generator[Page]:
        """The rows, once, at most `batch_size` a page; columns named and typed as `plan.fields` say.

        Raises SourceUnavailable when the connection breaks, SourceQueryFailed when the statement fails, SchemaMoved
        when the table was altered."""
        self._pages = self._read()
        return self._pages

    def _read(self) -> Generator[Page]:
        if self.full_read is not None:
            yield from self._unordered(SQL("({}) is not true").format(has_order(self.plan)))
        elif self.whole_leaves:
            yield from self._unordered(sql.in_leaves(self.whole_leaves))
        while True:
            found, pages = self._next_page()
            yield from pages
            if found < self.plan.config.batch_size:
                return

    def checkpoint(self) -> Checkpoint:
        """The checkpoint that may be saved once all pages so far are in the target. Raises RuntimeError before the
        first snapshot."""
        if self._point is None:
            raise RuntimeError("nothing was read yet")
        return next_checkpoint(
            self._before,
            self.horizon,
            self._point,
            full=self._before is None,
            last_watermark=self._last.text,
            cursor=self._stored_cursor,
        )

    def _unordered(self, which: Composable) -> Iterator[Page]:
        """Rows that the cursor has no place for (their watermark is NULL or infinite), or that it has passed."""
        condition = sql.both([which, sql.where_given(self.plan)])
        with (
            self.source.copy_connection() as connection,
            open_snapshot(connection, self.plan, reads_log=self.horizon.reads_log) as snap,
        ):
            self._note_start(snap)
            query = SQL("select {} from {} where {}").format(
                select_list(self.plan, guard=snap.may_hold_oversize),
                from_clause(self.plan, guard=snap.may_hold_oversize),
                condition,
            )
            converter = Converter(self.plan, checks_text=snap.unchecked_text)
            for batch in snap.batches(query):
                yield from converter.convert(batch).pages(self.plan)

    def _next_page(self) -> tuple[int, Sequence[Page]]:
        """The number of rows read, and the page (none, if there are no more rows)."""
        with (
            self.source.copy_connection() as connection,
            open_snapshot(connection, self.plan, reads_log=self.horizon.reads_log) as snap,
        ):
            self._note_start(snap)
            batches = list(snap.batches(self._query(guard=snap.may_hold_oversize)))
        if not batches:
            return 0, ()
        batch = concat(batches)
        converted = Converter(self.plan, checks_text=snap.unchecked_text).convert(batch)
        fields = len(self.plan.fields)
        self._last.add(batch.column(fields), converted.good)
        last = batch.slice(batch.num_rows - 1)
        columns = last.columns[fields + 1 : fields + 1 + len(order_columns(self.plan))]
        self._cursor = tuple(_exact_text(column[0]) for column in columns)
        if "".join(self._cursor).encode("utf-8", "replace").decode() == "".join(self._cursor):
            self._stored_cursor = self._cursor
        return batch.num_rows, list(converted.pages(self.plan))

    def _note_start(self, snap: Snapshot) -> None:
        """The checkpoint holds the first snapshot of the read, and the end of the log as of the last one."""
        point = self._point or ReadPoint(ReadMode.CURSOR, snap.x, snap.xmax, shape=self.plan.shape)
        self._point = replace(point, lsn=snap.lsn)

    def _query(self, *, guard: bool) -> Composable:
        order = order_columns(self.plan)
        extra = [(sql.watermark(self.plan), "__pgsnow_watermark")] + [
            (SQL("{}::text").format(column), f"__pgsnow_cursor_{at}") for at, column in enumerate(order)
        ]
        return SQL("select {}\nfrom {}\nwhere {}\norder by {}\nlimit {}").format(
            select_list(self.plan, extra, guard=guard),
            from_clause(self.plan, guard=guard),
            beyond(self.plan, self._cursor),
            SQL(", ").join(SQL("{}.{}").format(sql.table(self.plan), column) for column in order),
            Literal(self.plan.config.batch_size),
        )


def _exact_text(value: pa.Scalar) -> str:
    """The text of a string; bytes that are not UTF-8 as lone surrogates."""
    text: str = (
        value.as_buffer().to_pybytes().decode("utf-8", "surrogateescape") if value.is_valid else "None"
    )
    return text


def concat(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """One batch with the rows of all, of which there is at least one. A column that is a decimal in one batch
    and text in another becomes text."""
    columns = [
        _concat_column([batch.column(at) for batch in batches]) for at in range(batches[0].num_columns)
    ]
    return pa.RecordBatch.from_arrays(columns, names=batches[0].schema.names)


def _concat_column(parts: Sequence[pa.Array]) -> pa.Array:
    if len({part.type for part in parts}) > 1:
        parts = [part.cast(pa.string()) for part in parts]
    return pa.concat_arrays(parts)
