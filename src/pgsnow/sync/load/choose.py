"""Chooses the loader of a run. It is chosen once, and only here."""

from __future__ import annotations

from dataclasses import dataclass

from pgsnow.model.config.sync_config import TableMode
from pgsnow.sync.load.context import LoadContext
from pgsnow.sync.load.deferred import DeferredLoader
from pgsnow.sync.load.direct_copy import Attempts, DirectCopyLoader
from pgsnow.sync.load.loader import Loader
from pgsnow.sync.load.merge import MergeLoader
from pgsnow.sync.load.replace import AppendLoader, ReplaceLoader
from pgsnow.sync.load.shadow_table import ShadowTableLoader
from pgsnow.sync.pipeline.load_batches import batch_name


@dataclass(frozen=True, slots=True)
class BackfillFacts:
    """Facts about a backfill, or about one of its chunks. fence: of the backfill. shadow: its rows are loaded into
    a shadow table."""

    fence: int
    shadow: bool
    attempts: Attempts


@dataclass(frozen=True, slots=True)
class LoadFacts:
    """Facts about a run's rows that decide which loader is chosen.

    full_read: everything is read. first: no rows of the table are known to be loaded. resumable: the checkpoint moves
    after each batch. replaces: the rows of a full read replace the target's content as a whole (with mode append, they
    are added as a whole). requested: a person requested the full read. reshaped: the target may have been filled by
    another key, or by another shape. other_keys: the keys of the target's rows cannot be compared to those of the rows
    that are read. deferred: rows are staged now, and loaded by a later run.
    """

    full_read: bool = False
    first: bool = False
    resumable: bool = False
    replaces: bool = False
    requested: bool = False
    reshaped: bool = False
    other_keys: bool = False
    deferred: bool = False
    backfill: BackfillFacts | None = None

    @property
    def is_first_load(self) -> bool:
        """True if everything is read for the first time, into a target that is filled batch by batch."""
        of_rows = self.full_read and self.first and not self.resumable and not self.replaces
        return of_rows and not self.deferred and self.backfill is None


def choose(load: LoadContext, facts: LoadFacts) -> Loader:
    """The loader for these facts. Deletes and log-based changes will be further loaders, chosen here as well."""
    if facts.deferred:
        return DeferredLoader(load)
    if (work := facts.backfill) is not None:
        if work.shadow:
            first = batch_name(load.plan, work.fence, 0)
            return ShadowTableLoader(load, first, work.attempts, other_keys=facts.other_keys)
        return DirectCopyLoader(load, work.attempts)
    if facts.full_read and facts.replaces:
        if load.plan.config.mode is TableMode.APPEND and not facts.requested:
            return AppendLoader(load)
        return ReplaceLoader(load, relaxed=facts.reshaped, other_keys=facts.other_keys)
    if facts.is_first_load:
        return DirectCopyLoader(load, Attempts())
    return MergeLoader(load)
