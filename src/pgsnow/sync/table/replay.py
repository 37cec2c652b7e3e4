"""Quarantined rows, once the cause is mended: read again by key from the source, and loaded like any other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pgsnow.postgres.read.by_key import read_keys
from pgsnow.sync.pipeline.load_batches import LoadBatchWriter
from pgsnow.sync.pipeline.row_keys import Key
from pgsnow.sync.pipeline.spool import Spool
from pgsnow.sync.table.context import RunContext
from pgsnow.sync.table.deferred_load import caught_up
from pgsnow.sync.table.run import sync_table


def replay_keys(run: RunContext, keys: Sequence[Key]) -> None:
    """Load these rows as they are in the source now. The checkpoint does not move.

    A row that is rejected again stays open; one that is gone from the source has nothing left to load and is
    closed like the loaded ones. While a resync is under way nothing is done, and the errors stay open. A table that
    is read as a whole is read as a whole, and its checkpoint does move.
    """
    if run.plan.whole:
        sync_table(replace(run, probe=None))
        return
    if gives_way(run):
        return
    run.destination.batches.sweep()
    run = caught_up(run)
    run.destination.target.evolve(run.drift)
    with Spool(run.claim.run_id) as spool:
        writer = LoadBatchWriter(run.plan, run.claim.fence, spool, run.quarantine, run.progress, run.stop)
        for unit in writer.units(read_keys(run.source, run.plan, keys)):
            run.quarantine.flush()
            run.destination.units.load(unit)
        run.quarantine.flush()
    bad = run.quarantine.rejected_keys
    run.ledger.rejected_rows.resolve(run.claim, [key for key in keys if tuple(key.items()) not in bad])
    run.destination.batches.sweep()


def gives_way(run: RunContext) -> bool:
    """Is another content being gathered, which was read without these rows and is to take the place of this one?"""
    work = run.ledger.backfills.current(run.claim) if run.checkpoint is None else None
    if work is None or not work.replaces:
        return False
    run.progress.events.append("a resync is under way: errors can be replayed once it has ended")
    run.progress.left_to_others = run.ledger.backfills.counts(run.claim.table)
    return True
