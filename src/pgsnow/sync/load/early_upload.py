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
    """Called by the reading thread. A thread of its own uploads one file after the other; it ends with the batch.
    Files that it does not upload are uploaded with the rest of the batch, with the usual retries."""

    _load: LoadContext
    _batch: _Batch = field(default_factory=_Batch)

    def send(self, batch: str, parts: Sequence[PartFile]) -> None:
        """Upload finished files of a batch that has more rows than these, unless the batch may still turn out too
        small to be staged. The batch is recorded in the ledger before the first file is uploaded.

        Raises LeaseLost, and the error of an upload that a retry would not help.
        """
        self._raise_permanent()
        current, load = self._batch, self._load
        for part in parts:
            current.rows += part.rows
            current.size += part.size
            if load.method(current.rows, current.size) == "stage":
                # Before each file: minutes may pass between them, and a run that takes over the table cleans up once.
                load.batches.begin(batch)
                current.pool = current.pool or ThreadPoolExecutor(1, thread_name_prefix="pgsnow-upload")
                current.sent[part.path] = current.pool.submit(self._upload, current, batch, part.path)

    def arrive(self, batch: str) -> None:
        """The batch is complete: wait until no upload of its files is in progress. Raises what `send` raises."""
        current = self._batch
        if current.pool is not None:
            with self._load.recorder.timed("put"):
                current.pool.shutdown()
            self._raise_permanent()
            uploaded = (path for path, sent in current.sent.items() if sent.exception() is None)
            self._load.uploaded[batch] = frozenset(uploaded)
        self._batch = _Batch()

    def abandon(self) -> None:
        """The batch will not be loaded. Waits for an upload in progress, which could otherwise finish after the
        cleanup."""
        if self._batch.pool is not None:
            self._batch.pool.shutdown(cancel_futures=True)
        self._batch = _Batch()

    def _upload(self, current: _Batch, batch: str, path: Path) -> None:
        """Without a retry. After a failure the batch's other files are not uploaded early."""
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
    """Raised for a file whose upload was not attempted."""


def _may_succeed_later(error: BaseException) -> bool:
    """True if a retry, or another inspection of the target, may help: its stage may have been dropped."""
    if isinstance(error, PgsnowError):
        return error.transient or isinstance(error, TargetQueryFailed)
    return isinstance(error, _NotTried)
