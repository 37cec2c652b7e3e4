"""Replay of rejected rows after their cause is fixed: read again from the source by key, and loaded like others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pgsnow.ledger.rejected_rows import is_key
from pgsnow.model.backfill import ChunkCounts
from pgsnow.sync.pipeline.row_keys import Key, items_of
from pgsnow.sync.table.context import RunContext, TableOutcome
from pgsnow.sync.table.deferred_load import without_staged
from pgsnow.sync.table.load_keys import load_keys
from pgsnow.sync.table.run import sync_table
from pgsnow.sync.table.steps import follow_key_names


def replay_keys(run: RunContext, keys: Sequence[Key]) -> TableOutcome:
    """Load these rows as they are in the source now. The checkpoint does not move.

    A row that is rejected again stays open; one that no longer exists in the source is closed like the loaded ones. So
    an entry whose key does not have the columns of the table's key stays open, too: it says nothing about a row.
    During a resync nothing is done, and the errors stay open. A table that can only be read as a whole is read as a
    whole, and its checkpoint does move.
    """
    if run.plan.whole:
        return sync_table(replace(run, probe=None))
    counts = resync_under_way(run)
    if counts is not None:
        return TableOutcome(remaining=counts)
    run.destination.batches.cleanup()
    names = follow_key_names(run)
    given = len(keys)
    keys = [{names.get(name, name): value for name, value in key.items()} for key in keys if is_key(key)]
    keys = [key for key in keys if key.keys() == set(run.plan.pk)]
    if len(keys) < given:
        run.recorder.events.append(
            f"{given - len(keys)} of these entries of sync_errors name no row by its key ({', '.join(run.plan.pk)})"
            " and stay open: see pgsnow errors list, and close them with pgsnow errors dismiss"
        )
    run = without_staged(run)
    run.destination.evolve(run.drift)
    hidden = run.rejected.confidential
    load_keys(run, keys if hidden is None else hidden.find(run.source, run.plan, keys))
    bad = run.rejected.rejected_keys
    run.ledger.rejected_rows.resolve(run.claim, [key for key in keys if items_of(key) not in bad])
    run.destination.batches.cleanup()
    return TableOutcome()


def resync_under_way(run: RunContext) -> ChunkCounts | None:
    """Progress of a resync whose shadow table does not have these rows and will replace the target's content."""
    work = run.ledger.backfills.current(run.claim) if run.checkpoint is None else None
    if work is None or not work.replaces:
        return None
    run.recorder.events.append("a resync is under way: errors can be replayed once it has ended")
    return run.ledger.backfills.counts(run.claim.table)
