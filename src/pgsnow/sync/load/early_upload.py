"""Uploads finished part files into the stage while the rest of their load batch is still read.

docs/decisions/24-files-go-up-while-rows-are-read.md
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from pgsnow.model.batch import PartFile
from pgsnow.model.errors import PgsnowError, TargetQueryFailed
from pgsnow.sync.load.context import LoadContext


@dataclass(slots=True)
class _Batch:
    """The batch that is being written: its finished files, and their uploads."""

    rows: int = 0
    size: int = 0
    pool: ThreadPoolExecutor | None = None
    sent: dict[Path, Future[None]] = field(default_factory=dict)
    failed: threading.Event = field(default_factory=threading.Event)


@dataclass(slots=True)
class EarlyUploader:
    """Called by the thread that reads. A thread of its own uploads one file after the other, and exists no longer than
    a batch is read. Files that it does not upload are put with the rest of the batch, with the retries of that."""

    _load: LoadContext
    _batch: _Batch = field(default_factory=_Batch)

    def send(self, batch: str, parts: Sequence[PartFile]) -> None:
        """Upload finished files of a batch that has more rows than these, unless the batch may yet be so small that it
        is not staged. The ledger knows the batch before anything of it is in the stage.

        Raises LeaseLost, and the error of an upload that another try would not help."""
        self._raise_permanent()
        current, load = self._batch, self._load
        for part in parts:
            current.rows += part.rows
            current.size += part.size
            if load.method(current.rows, current.size) == "stage":
                # Before each file: minutes may pass between them, and a run that takes the table over cleans up once.
                load.batches.begin(batch)
                current.pool = current.pool or ThreadPoolExecutor(1, thread_name_prefix="pgsnow-upload")
                current.sent[part.path] = current.pool.submit(self._upload, current, batch, part.path)

    def arrive(self, batch: str) -> None:
        """The batch is complete: wait for its files that are under way; afterwards none is. Raises as `send`."""
        current = self._batch
        if current.pool is not None:
            with self._load.recorder.timed("put"):
                current.pool.shutdown()
            self._raise_permanent()
            uploaded = (path for path, sent in current.sent.items() if sent.exception() is None)
            self._load.uploaded[batch] = frozenset(uploaded)
        self._batch = _Batch()

    def abandon(self) -> None:
        """The batch will not be loaded. Waits for a file that is under way: it could arrive after the cleanup."""
        if self._batch.pool is not None:
            self._batch.pool.shutdown(cancel_futures=True)
        self._batch = _Batch()

    def _upload(self, current: _Batch, batch: str, path: Path) -> None:
        """Without a retry. After a failure the batch's other files are not tried."""
        if current.failed.is_set():
            raise _NotTried
        try:
            self._load.upload(batch, [path])
        except BaseException:
            current.failed.set()
            raise

    def _raise_permanent(self) -> None:
        for sent in self._batch.sent.values():
            error = sent.exception() if sent.done() else None
            if error is not None and not _may_succeed_later(error):
                raise error


class _NotTried(Exception):
    """A file that was not tried."""


def _may_succeed_later(error: BaseException) -> bool:
    """True if another try, or a look at the target, may help: its stage may be gone."""
    if isinstance(error, PgsnowError):
        return error.transient or isinstance(error, TargetQueryFailed)
    return isinstance(error, _NotTried)
