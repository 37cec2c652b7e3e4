"""The contract of all ways to load a target, and its outcomes: values that state what is durable once they are
returned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pgsnow.model.batch import LoadBatch
from pgsnow.model.deferred_batch import StagedBatch


@dataclass(frozen=True, slots=True)
class Loaded:
    """The batch is committed in its table (the target, or the shadow table of a backfill)."""

    inserted: int = 0
    """Rows that were not there before."""


@dataclass(frozen=True, slots=True)
class Staged:
    """The batch is in the staging table of the run, and nothing of it in the target. `finish` applies it; if the run
    ends before that, it is dropped."""


@dataclass(frozen=True, slots=True)
class Deferred:
    """The batch's files are in the stage, and nothing of it is in the target. It waits to be loaded once the ledger
    knows that it does; until then it is an open batch, which is cleaned up."""

    batch: StagedBatch


@dataclass(frozen=True, slots=True)
class TargetRecreated:
    """The target had been dropped, and was created again: it holds at most this batch. The ledger has no checkpoint of
    the table any more, so that the next run, or the rest of this one, reads everything."""


Outcome = Loaded | Staged | Deferred | TargetRecreated


@dataclass(frozen=True, slots=True)
class Complete:
    """Every batch that the loader was given is committed in the target. replaced: `finish` itself has put all of them
    there at once."""

    replaced: bool = False


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
