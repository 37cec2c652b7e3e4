"""The open load batches of one table: those that may have left files or tables in Snowflake, until they are cleaned
up. And the sessions of runs in which a statement may still be running."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from pgsnow.model.errors import PgsnowError
from pgsnow.sync.load.claimed_table import ClaimedTable
from pgsnow.sync.runtime.recorder import Recorder

SESSION = "session:"
"""In the ledger's list of open batches, this and a number stand for a session, which leaves nothing to be removed."""


@dataclass(frozen=True, slots=True)
class OpenBatch:
    """A batch that may have left files or tables. inherited: another run began it, perhaps with another
    configuration and another stage. table: it may have a staging table. files: it may have files."""

    name: str
    inherited: bool = False
    table: bool = True
    files: bool = True


class OpenBatches:
    """Open batches of earlier runs and of this one. Each is recorded in the ledger before anything of it exists."""

    def __init__(
        self,
        table: ClaimedTable,
        recorder: Recorder,
        remove: Callable[[Sequence[OpenBatch]], None],
        remove_once: Callable[[Sequence[OpenBatch]], None],
        unsettled: set[int] | None = None,
    ) -> None:
        """remove: removes everything that these batches have left, with retries. remove_once: the same, without a
        retry. unsettled: gets the numbers of inherited sessions."""
        self._table = table
        self._recorder = recorder
        self._remove = remove
        self._remove_once = remove_once
        self._unsettled = set[int]() if unsettled is None else unsettled
        self._open: dict[str, OpenBatch] = {}
        self._shadows: dict[str, OpenBatch] = {}
        if table.claim.open_batches:
            self.inherit(table.claim.open_batches)

    def record(self, batch: str) -> None:
        """Record the batch in the ledger. Raises LeaseLost if another run has claimed the table."""
        self._table.ledger.checkpoints.open_batch(self._table.claim, batch)

    def begin(self, batch: str) -> None:
        """Record the batch in the ledger, before anything of it exists; it is cleaned up later. Raises LeaseLost."""
        self._table.ledger.checkpoints.open_batch(self._table.claim, batch)
        known = self._open.get(batch)
        self._open[batch] = OpenBatch(batch, known is not None and known.inherited)

    def running(self, session: int) -> None:
        """Record that a statement of this session must have ended before another run loads the table. Raises
        LeaseLost."""
        name = f"{SESSION}{session}"
        if name not in self._open:
            self.record(name)
            self._open[name] = OpenBatch(name)

    def has_no_table(self, batch: str) -> None:
        """Record that this open batch has no staging table, unless it is begun again."""
        self._open[batch] = replace(self._open[batch], table=False)

    def leaves(self, batch: str, *, files: bool) -> None:
        """Record that this open batch has no staging table, and whether it has files, unless it is begun again."""
        self._open[batch] = replace(self._open[batch], table=False, files=files)

    def inherit(self, batches: Sequence[str]) -> None:
        """Also clean up these batches of other processes, in whichever stage their files are."""
        for name in batches:
            batch = self._open.setdefault(name, OpenBatch(name, inherited=True))
            if name.startswith(SESSION) and batch.inherited:
                self._unsettled.add(int(name.removeprefix(SESSION)))

    def forget(self, batches: Collection[str]) -> None:
        """Do not clean these up: they are staged batches, which are loaded later."""
        for batch in batches:
            self._open.pop(batch, None)

    def keep_shadow(self, batch: str) -> None:
        """Do not clean this one up before `release_shadows`: its table is a shadow table that is still needed."""
        self._shadows.setdefault(batch, self._open.pop(batch, OpenBatch(batch)))

    def release_shadows(self) -> None:
        """Shadow tables are no longer needed: they are cleaned up like the rest."""
        self._open = self._shadows | self._open
        self._shadows = {}

    def cleanup(self, *, but: Collection[str] = (), shadows: bool = False) -> None:
        """Remove everything that the open batches have left, except for these. Idempotent. shadows: remove shadow
        tables too."""
        if shadows and self._shadows:
            self.release_shadows()
        done = [batch for batch in self._open.values() if batch.name not in but]
        if not done:
            return
        with self._recorder.timed("sweep"):
            self._remove(done)
            self._table.ledger.checkpoints.close_batches(self._table.claim, [batch.name for batch in done])
        for batch in done:
            del self._open[batch.name]
        self._recorder.tell("swept")

    def abandon(self) -> None:
        """Remove this run's own batches after another run has claimed the table: that run cleaned up only what
        existed at the time of its claim. No other run uses these batch names. Never raises an error from Snowflake."""
        own = [batch for batch in self._open.values() if not batch.inherited]
        if own:
            with contextlib.suppress(PgsnowError):
                self._remove_once(own)
