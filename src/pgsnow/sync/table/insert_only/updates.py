"""Decides whether the rows of a read may be copied into the target without a MERGE: they may if no row of them can be
there already, in this or in an older version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pgsnow.model.checkpoint import Checkpoint, ReadMode
from pgsnow.model.config.table_config import TableMode
from pgsnow.model.deferred_batch import StagedBatch
from pgsnow.model.evolution.definition_diff import is_rewritten
from pgsnow.model.sentences import counted
from pgsnow.postgres.read.reader import Reader, SnapshotReader
from pgsnow.snowflake.load.direct_copy import can_copy_directly
from pgsnow.sync.table.context import RunContext


@dataclass(frozen=True, slots=True)
class NewRows:
    """updates: number of updates that the server has counted on the table; None: it was not asked, or the next read may
    have rows of this one again, and is merged therefore. once: the rows of
    the read are new. updated: rows were updated since the last read, or perhaps before it."""

    updates: int | None = None
    once: bool = False
    updated: bool = False

    def staged(self, batches: Sequence[StagedBatch]) -> list[StagedBatch]:
        return [replace(batch, once=self.once) for batch in batches]

    def read_until(self, checkpoint: Checkpoint) -> Checkpoint:
        return checkpoint.evolve(updates=self.updates)


def look_for_updates(run: RunContext, reader: Reader) -> NewRows:
    """Ask whether rows of the source were updated since the last read; if they were, that is an event, and the rows are
    merged. reader: entered."""
    if not isinstance(reader, SnapshotReader):
        return NewRows()
    updates, before = reader.count_updates(), run.checkpoint
    known = None if before is None else before.updates
    if known is not None and updates != known:
        more = counted(updates - known, "update") if updates > known else "statistics that began again"
        run.recorder.events.append(
            f"insert_only: the source shows {more} since the last read; rows are merged, and a row that is twice in"
            " the target is removed"
        )
    updated = known is not None and updates != known
    once = updates == known and is_new(run, reader)
    return NewRows(updates if reader.notes_seen else None, once=once, updated=updated)


def is_new(run: RunContext, reader: SnapshotReader) -> bool:
    """True if the read has no row that an earlier read had, as far as its window and the table's storage show. A table
    that an audit has moved to transaction ids has rows that change."""
    stored, plan, loaded = run.claim.stored_definition, run.plan, run.claim.checkpoint
    moved = plan.config.mode is TableMode.WATERMARK and reader.mode is ReadMode.XMIN
    same = stored is not None and not is_rewritten(stored, plan.source)
    from_there = loaded is not None and run.checkpoint is not None and loaded.x == run.checkpoint.x
    return reader.reads_once and same and from_there and not moved and can_copy_directly(plan)
