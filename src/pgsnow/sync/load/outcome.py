"""Outcomes of a load: values that state what is durable once they are returned."""

from __future__ import annotations

from dataclasses import dataclass

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
