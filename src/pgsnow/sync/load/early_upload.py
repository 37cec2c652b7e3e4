"""Part files on their way into the stage while the rest of their load unit is still read.

docs/decisions/24-files-go-up-while-rows-are-read.md
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from pgsnow.model.batch import PartFile
from pgsnow.model.config.sync_config import LoadMethod
from pgsnow.model.errors import PgsnowError, TargetQueryFailed
from pgsnow.snowflake.stage.s3_stage import S3Stage
from pgsnow.sync.load.context import LoadContext
from pgsnow.sync.load.open_batches import OpenBatches
from pgsnow.sync.load.session import RunSession
from pgsnow.sync.load.shadow_table import ShadowTable
from pgsnow.sync.load.target import Target


@dataclass(slots=True)
class _Unit:
    """What is known of the unit that is being written: its finished files, and where they are."""

    rows: int = 0
    size: int = 0
    pool: ThreadPoolExecutor | None = None
    sent: dict[Path, Future[None]] = field(default_factory=dict)
    failed: threading.Event = field(default_factory=threading.Event)


class EarlyUploader:
    """Of one run, called by the thread that reads. A thread of its own uploads one file after the other, and none
    while no unit is being read. What it does not get there is put with the rest of the unit, and tried again as ever.
    """

    def __init__(
        self,
        delivery: LoadContext,
        session: RunSession,
        batches: OpenBatches,
        target: Target,
        beside: ShadowTable,
    ) -> None:
        self._delivery = delivery
        self._session = session
        self._batches = batches
        self._target = target
        self._beside = beside
        self._unit = _Unit()

    def send(self, batch: str, parts: Sequence[PartFile]) -> None:
        """Finished files of a unit that has more rows than these: away with them, unless the unit may yet be so small
        that it is not staged. The batch is in the ledger before anything of it is in the stage.

        Raises LeaseLost, and what an upload has failed with, if another try would fail too."""
        self._raise_hopeless()
        unit = self._unit
        for part in parts:
            unit.rows += part.rows
            unit.size += part.size
            if self._delivery.method_of(unit.rows, unit.size) == "stage":
                self._hold(batch)
                unit.pool = unit.pool or ThreadPoolExecutor(1, thread_name_prefix="pgsnow-upload")
                unit.sent[part.path] = unit.pool.submit(self._upload, unit, batch, part.path)

    def arrive(self, batch: str) -> None:
        """The unit is whole: wait for its files that are under way; afterwards none is. Raises as `send`."""
        unit = self._unit
        if unit.pool is not None:
            with self._delivery.progress.timed("put"):
                unit.pool.shutdown()
            self._raise_hopeless()
            up = [path for path, sent in unit.sent.items() if sent.exception() is None]
            self._delivery.put_ahead.note(batch, up)
        self._unit = _Unit()

    def abandon(self) -> None:
        """The unit will not be loaded. A file that is under way is waited for: it could arrive after the sweep."""
        if self._unit.pool is not None:
            self._unit.pool.shutdown(cancel_futures=True)
        self._unit = _Unit()

    def _hold(self, batch: str) -> None:
        """Asked before each file, because minutes may pass between them: whoever takes the table over sweeps but once.
        The stage is made by the thread that may talk to the ledger."""
        self._batches.begin(batch)
        through_session = self._delivery.plan.config.load is not LoadMethod.S3
        if self._unit.pool is None and through_session and not self._beside.in_use:
            self._target.ensure()

    def _upload(self, unit: _Unit, batch: str, path: Path) -> None:
        """Not tried again. After a failure the unit's other files are left to its own PUT."""
        if unit.failed.is_set():
            raise _LeftToPut
        target = self._delivery.plan.target
        staging = self._delivery.stagings.serving(self._delivery.plan.config.load)
        try:
            if isinstance(staging, S3Stage):
                staging.upload(batch, [path])
            else:
                self._session.once(lambda session: staging.put(session, target, batch, [path]))
        except BaseException:
            unit.failed.set()
            raise

    def _raise_hopeless(self) -> None:
        for sent in self._unit.sent.values():
            error = sent.exception() if sent.done() else None
            if error is not None and not _may_be_mended(error):
                raise error


class _LeftToPut(Exception):
    """A file that was not tried."""


def _may_be_mended(error: BaseException) -> bool:
    """By another try, or by a look at the target: its stage may be gone."""
    if isinstance(error, PgsnowError):
        return error.transient or isinstance(error, TargetQueryFailed)
    return isinstance(error, _LeftToPut)
