"""Cuts the pages of one read into load batches: rejected rows are filtered out, the others are written to part
files."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from pgsnow.model.batch import LoadBatch, Page, PartFile
from pgsnow.model.config.sync_config import TableMode
from pgsnow.model.errors import ShuttingDown
from pgsnow.model.plan import TablePlan
from pgsnow.sync.pipeline.parquet import PartWriter
from pgsnow.sync.pipeline.rejected_rows import RejectedRows
from pgsnow.sync.pipeline.spool import Spool, spool_error
from pgsnow.sync.runtime.recorder import Recorder

ODD = re.compile(r"[^A-Za-z0-9.-]|(?<=-)-")
"""Characters that a name in a stage path cannot have, and a second dash after a dash."""


class Uploads(Protocol):
    """Uploads part files of a load batch that is still being written. `batch` is the batch's name."""

    def send(self, batch: str, parts: Sequence[PartFile]) -> None:
        """Start to upload these finished files; the batch has more rows than these files contain."""

    def arrive(self, batch: str) -> None:
        """The batch is complete: wait until no upload of its files is in progress."""

    def abandon(self) -> None:
        """The batch will not be loaded: wait until no upload of its files is in progress. Idempotent."""


class PageStream:
    """The pages of one read, in order. The time spent waiting for them counts as phase `read`. `has_pages` can wait
    for the first page before the pages are consumed."""

    def __init__(self, pages: Iterable[Page], recorder: Recorder) -> None:
        self._pages = iter(pages)
        self._recorder = recorder
        self._first: Page | None = None

    def has_pages(self) -> bool:
        """Wait for the first page; False: there is none. Must be called only once."""
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
    """Writes the load batches of one run, each of at most `max_rows_per_load` rows plus one page.

    Batches are named `<slug>/<fence>-<n>`. The names are unique, because no other run has the same fence.
    """

    def __init__(
        self,
        plan: TablePlan,
        fence: int,
        spool: Spool,
        rejected: RejectedRows,
        recorder: Recorder,
        stop: threading.Event,
        *,
        first_batch: int = 0,
        first_row: int = 0,
        uploads: Uploads | None = None,
        changes: bool = False,
    ) -> None:
        """first_batch, first_row: the first numbers of batches and rows. uploads: receives finished part files
        before their batch is complete. changes: the pages have changes that were read from the log."""
        self._plan = plan
        self._fence = fence
        self._spool = spool
        self._rejected = rejected
        self._recorder = recorder
        self._stop = stop
        self._batch_number = first_batch
        self._name = ""
        """The name of the batch that is being written."""
        self._first_row = first_row
        self._uploads = uploads
        self._changes = changes

    def batches(self, pages: Iterable[Page]) -> Iterator[LoadBatch]:
        """The load batches in the order of reading. The next batch is not read until it is requested; the part files
        of the previous one are removed then. A TRUNCATE in the log begins a batch, which may have no rows.

        Raises ShuttingDown between two pages when asked to stop, and what RejectedRows.filter_rows raises; an
        incomplete batch is dropped then.
        """
        writer = self._new_writer()
        try:
            for page in pages:
                if writer.rows and page.changes is not None and page.changes.separate:
                    yield from self._complete(writer)
                    writer = self._new_writer()
                self._write(writer, page)
                if writer.rows >= self._plan.config.max_rows_per_load:
                    yield from self._complete(writer)
                    writer = self._new_writer()
            if writer.rows or (writer.kinds is not None and writer.kinds.truncates):
                yield from self._complete(writer)
        finally:
            writer.abandon()
            if self._uploads is not None:
                self._uploads.abandon()

    def _write(self, writer: PartWriter, page: Page) -> None:
        if self._stop.is_set():
            raise ShuttingDown(
                f"{self._recorder.table}: stopped between two pages; the current load batch is dropped"
            )
        rows, origin = self._rejected.filter_rows(page)
        with self._recorder.timed("write"):
            try:
                if page.changes is None:
                    writer.write(rows)
                else:
                    from pgsnow.sync.pipeline.change_files import write_changes

                    before = self._rejected.rejected_before(page.rows)
                    write_changes(writer, self._plan, rows, origin, page.changes, before)
            except OSError as error:
                raise spool_error(error, writer.folder) from error
        if self._uploads is not None:
            self._uploads.send(self._name, writer.take_finished())
        self._recorder.tell("page", rows=rows.num_rows, size=int(rows.nbytes))

    def _complete(self, writer: PartWriter) -> Iterator[LoadBatch]:
        """The finished batch; its part files are removed when the caller continues."""
        with self._recorder.timed("write"):
            try:
                parts = writer.finish()
            except OSError as error:
                raise spool_error(error, writer.folder) from error
        if self._uploads is not None:
            self._uploads.arrive(self._name)
        batch = LoadBatch(self._name, self._fence, parts, self._first_row, writer.bounds, writer.kinds)
        self._batch_number += 1
        self._first_row += batch.rows
        self._recorder.tell("written", rows=batch.rows, size=batch.size)
        yield batch
        for part in batch.parts:
            part.path.unlink(missing_ok=True)

    def _new_writer(self) -> PartWriter:
        self._name = batch_name(self._plan, self._fence, self._batch_number)
        hashed = self._plan.config.mode is TableMode.APPEND
        return PartWriter(
            self._spool.batch_folder(), self._plan.output, first_row=self._first_row, hashed=hashed,
            bounded=self._plan.bounded, changes_of=self._plan.key if self._changes else None,
        )  # fmt: skip


def batch_name(plan: TablePlan, fence: int, number: int) -> str:
    """The name of a run's nth batch. It begins with the table's configured name, in a form that is valid in a stage
    path without quotes, where `--` would begin a comment."""
    return f"{ODD.sub(lambda odd: f'_{ord(odd[0]):x}', plan.config.name)}/{fence}-{number}"
