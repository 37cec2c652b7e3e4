"""The load batches of one table that may have left something outside, until that is cleaned up."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from pgsnow.model.errors import PgsnowError
from pgsnow.sync.load.claimed_table import ClaimedTable
from pgsnow.sync.runtime.recorder import Recorder


@dataclass(frozen=True, slots=True)
class OpenBatch:
    """A batch that may have left something. inherited: another run began it, perhaps under another configuration, with
    its files in another stage. table: it may have a staging table."""

    name: str
    inherited: bool = False
    table: bool = True


class OpenBatches:
    """Batches that the claim came with, and those of this run. The ledger knows each before anything of it exists."""

    def __init__(
        self,
        table: ClaimedTable,
        recorder: Recorder,
        remove: Callable[[Sequence[OpenBatch]], None],
        remove_once: Callable[[Sequence[OpenBatch]], None],
    ) -> None:
        """remove: removes all that these batches have left; it is retried. remove_once: the same, without a retry."""
        self._table = table
        self._recorder = recorder
        self._remove = remove
        self._remove_once = remove_once
        self._open = {name: OpenBatch(name, inherited=True) for name in table.claim.open_batches}
        self._shadows: dict[str, OpenBatch] = {}

    def record(self, batch: str) -> None:
        """Record the batch in the ledger. Raises LeaseLost if another run has claimed the table."""
        self._table.ledger.checkpoints.open_batch(self._table.claim, batch)

    def begin(self, batch: str) -> None:
        """Record the batch in the ledger, before anything of it exists; it is cleaned up later. Raises LeaseLost."""
        self._table.ledger.checkpoints.open_batch(self._table.claim, batch)
        known = self._open.get(batch)
        self._open[batch] = OpenBatch(batch, known is not None and known.inherited)

    def has_no_table(self, batch: str) -> None:
        """This open batch has no staging table, unless it is begun again."""
        self._open[batch] = replace(self._open[batch], table=False)

    def inherit(self, batches: Sequence[str]) -> None:
        """Clean up these too: others have begun them, wherever they have put their files."""
        for batch in batches:
            self._open.setdefault(batch, OpenBatch(batch, inherited=True))

    def forget(self, batches: Collection[str]) -> None:
        """Do not clean these up: the ledger has them as batches that wait to be loaded."""
        for batch in batches:
            self._open.pop(batch, None)

    def keep_shadow(self, batch: str) -> None:
        """Do not clean this one up before `release_shadows`: its table is a shadow table that is still needed."""
        self._shadows.setdefault(batch, self._open.pop(batch, OpenBatch(batch)))

    def release_shadows(self) -> None:
        """Shadow tables are needed no longer: they are cleaned up like the rest."""
        self._open = self._shadows | self._open
        self._shadows = {}

    def cleanup(self, *, but: Collection[str] = (), shadows: bool = False) -> None:
        """Remove what every open batch has left but these. Idempotent. shadows: remove shadow tables too."""
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
        """Another run has claimed the table, and has removed what it found. What this run has put there since would
        stay for ever, so its own batches are removed; no other run has a batch of these names. Never raises an error
        of Snowflake's."""
        own = [batch for batch in self._open.values() if not batch.inherited]
        if own:
            with contextlib.suppress(PgsnowError):
                self._remove_once(own)
