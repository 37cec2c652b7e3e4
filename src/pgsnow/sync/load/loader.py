"""The contract of all ways to load a target."""

from __future__ import annotations

from typing import Protocol

from pgsnow.model.batch import LoadBatch
from pgsnow.sync.load.outcome import Complete, Outcome


class Loader(Protocol):
    """Loads the batches of one run (or of one chunk of a backfill) in one way; `choose` picks it.

    Idempotence: a batch that is loaded again, by this run or by a later one, leaves the same rows. Transient errors are
    retried within a call; whatever a call raises, nothing is known to be durable but what was returned before it.
    Ordering: batches are loaded one after the other, in the order of reading; of two rows with one key the later one
    stays. A row that a run with a higher fence wrote is never overwritten.
    Durability: as the outcome states. The checkpoint may pass a batch once it is `Loaded`, or all batches once `finish`
    has returned.
    Cleanup: the ledger knows a batch, as an open one, before anything of it exists outside. A loader cleans up the
    batches before the one that it loads; the run cleans up the rest at its end, or else the next run does.
    Raises LeaseLost once another run has claimed the table, at the latest before it changes anything that others see.
    """

    def load(self, batch: LoadBatch) -> Outcome:
        """Load one batch. Its part files are needed no longer than this call lasts.

        Raises LoadMismatch if Snowflake has another number of rows than were written; TargetGone if the batch is part
        of a chunk whose table is gone."""

    def finish(self) -> Complete:
        """End a load of which every batch has been read: each key is in the target once. Idempotent. The chunks of a
        backfill are ended by one loader for all of them."""
