"""The contract of all ways to load a target, and their outcomes: values that state what is durable once they are
returned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pgsnow.model.batch import LoadBatch
from pgsnow.model.deferred_batch import StagedBatch


@dataclass(frozen=True, slots=True)
class Loaded:
    """The batch is committed in its table (the target, or the shadow table of a backfill)."""

    inserted: int = 0
    """Rows that were not in the table before."""


@dataclass(frozen=True, slots=True)
class Staged:
    """The batch is in the run's staging table, and none of it is in the target. `finish` applies it; if the run
    ends before that, it is dropped."""


@dataclass(frozen=True, slots=True)
class Deferred:
    """The batch's files are in the stage, and none of it is in the target. Until the ledger records it as staged,
    it is an open batch, which is cleaned up."""

    batch: StagedBatch


@dataclass(frozen=True, slots=True)
class TargetRecreated:
    """The target had been dropped and was created again: it contains at most this batch. The ledger no longer has a
    checkpoint of the table, so the next run, or the rest of this one, reads everything."""


Outcome = Loaded | Staged | Deferred | TargetRecreated


@dataclass(frozen=True, slots=True)
class Complete:
    """Every batch that the loader was given is committed in the target. replaced: `finish` replaced the content
    with them in one step."""

    replaced: bool = False


class Loader(Protocol):
    """Loads the batches of one run (or of one chunk of a backfill) in one way; `choose` selects it.

    Idempotence: loading a batch again, in this run or a later one, leaves the same rows. Transient errors are retried
    within a call. If a call raises an error, only what earlier calls returned is known to be durable.

    Ordering: batches are loaded one after the other, in the order of reading; of two rows with one key the later one
    stays. A row that a run with a higher fence wrote is never overwritten.

    Durability: stated by the outcome. The checkpoint may pass a batch once it is `Loaded`, or all batches once
    `finish` has returned.

    Cleanup: the ledger records a batch as open before anything of it exists outside Postgres. A loader cleans up the
    batches before the current one; the run, or else the next run, cleans up the rest.

    Raises LeaseLost once another run has claimed the table, before it makes any visible change.
    """

    def load(self, batch: LoadBatch) -> Outcome:
        """Load one batch. Its part files may be removed afterwards.

        Raises LoadMismatch if the number of rows in Snowflake differs from the number written; TargetGone if the batch
        belongs to a chunk whose table was dropped.
        """

    def finish(self) -> Complete:
        """Complete the load after all batches were loaded: each key is in the target once. Idempotent. For the
        chunks of a backfill, one loader is finished for all of them."""
