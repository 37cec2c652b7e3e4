"""Pages become load units: read, sift, write part files, and hand over a unit when it is full."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import pyarrow as pa

from pgsnow.model.batch import LoadBatch, Page, PartFile
from pgsnow.model.config.sync_config import TableMode
from pgsnow.model.errors import ShuttingDown
from pgsnow.model.plan import TablePlan
from pgsnow.sync.pipeline.parquet import PartWriter
from pgsnow.sync.pipeline.rejected_rows import RejectedRows
from pgsnow.sync.pipeline.spool import Spool
from pgsnow.sync.runtime.recorder import Recorder


class Uploads(Protocol):
    """Of files whose unit is still being written."""

    def send(self, batch: str, parts: Sequence[PartFile]) -> None:
        """These are finished, and not the unit's last."""

    def arrive(self, batch: str) -> None:
        """The unit is whole; nothing is under way any more."""

    def abandon(self) -> None:
        """The unit was given up; nothing is under way any more. Idempotent."""


class PageStream:
    """Pages of one read, in order. The time that they take is counted, and the first one can be waited for."""

    def __init__(self, pages: Iterable[Page], recorder: Recorder) -> None:
        self._pages = iter(pages)
        self._recorder = recorder
        self._first: Page | None = None

    def has_rows(self) -> bool:
        """Wait for the first page; False: there is none. To be asked once, before the pages are taken."""
        self._first = next(self, None)
        if self._first is not None:
            self._recorder.tell("read")
        return self._first is not None

    def __iter__(self) -> PageStream:
        return self

    def __next__(self) -> Page:
        if (page := self._first) is not None:
            self._first = None
            return page
        with self._recorder.timed("read"):
            return next(self._pages)


class LoadBatchWriter:
    """Cuts one run's rows into load units of at most `max_rows_per_load` rows (and a page more).

    batches are named `<slug>/<fence>-<n>`: unique for ever, because the fence is.
    """

    def __init__(
        self,
        plan: TablePlan,
        fence: int,
        spool: Spool,
        quarantine: RejectedRows,
        progress: Recorder,
        stop: threading.Event,
        *,
        first_batch: int = 0,
        first_row: int = 0,
        uploads: Uploads | None = None,
    ) -> None:
        """first_batch, first_row: what units and rows are counted from. uploads: gets finished files before their unit
        is handed over."""
        self._plan = plan
        self._fence = fence
        self._spool = spool
        self._quarantine = quarantine
        self._progress = progress
        self._stop = stop
        self._made = first_batch
        self._rows = first_row
        self._uploads = uploads

    def units(self, pages: Iterable[Page]) -> Iterator[LoadBatch]:
        """Units in the order of reading. Between a unit and the next, nothing of the next has been read, and when the
        next is asked for the files of the one before are removed.

        Raises ShuttingDown between two pages when asked to stop; a half-written unit is abandoned.
        """
        writer = self._new_writer()
        try:
            for page in pages:
                self._add(writer, page)
                if writer.rows >= self._plan.config.max_rows_per_load:
                    yield from self._hand_over(writer)
                    writer = self._new_writer()
            if writer.rows:
                yield from self._hand_over(writer)
        finally:
            writer.abandon()
            if self._uploads is not None:
                self._uploads.abandon()

    def _add(self, writer: PartWriter, page: Page) -> None:
        if self._stop.is_set():
            raise ShuttingDown(
                f"{self._progress.table}: stopped between two pages; nothing of this load unit is kept"
            )
        good = self._quarantine.sift(page)
        with self._progress.timed("write"):
            writer.write(good)
        if self._uploads is not None:
            self._uploads.send(self._batch, writer.followed())
        self._progress.tell("page", rows=good.num_rows, size=_size(good))

    def _new_writer(self) -> PartWriter:
        hashed = self._plan.config.mode is TableMode.APPEND
        return PartWriter(self._spool.unit_folder(), self._plan.output, first_row=self._rows, hashed=hashed)

    def _hand_over(self, writer: PartWriter) -> Iterator[LoadBatch]:
        unit = self._close(writer)
        yield unit
        for part in unit.parts:
            part.path.unlink()

    def _close(self, writer: PartWriter) -> LoadBatch:
        with self._progress.timed("write"):
            parts = writer.finish()
        if self._uploads is not None:
            self._uploads.arrive(self._batch)
        unit = LoadBatch(self._batch, self._fence, parts, self._rows)
        self._made += 1
        self._rows += unit.rows
        self._progress.tell("written", rows=unit.rows, size=unit.size)
        return unit

    @property
    def _batch(self) -> str:
        return batch_name(self._plan, self._fence, self._made)


def batch_name(plan: TablePlan, fence: int, number: int) -> str:
    return f"{slug(plan)}/{fence}-{number}"


def slug(plan: TablePlan) -> str:
    """The table's name in the configuration, which is unique, fit for a path in a stage."""
    return "".join(
        c if c.isascii() and (c.isalnum() or c in ".-") else f"_{ord(c):x}" for c in plan.config.name
    )


def _size(rows: pa.RecordBatch) -> int:
    return int(rows.nbytes)
