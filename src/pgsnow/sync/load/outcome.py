"""Outcomes of a load: values that state what is durable when they are returned."""

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
