"""`consistency: tick`: what the tables of a tick have staged is loaded in one transaction. Imported only for that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pgsnow.model.deferred_batch import in_loads
from pgsnow.model.errors import PgsnowError
from pgsnow.model.log.consistent_tick import ConsistentTick
from pgsnow.sync.load.deferred import next_batch
from pgsnow.sync.table.context import RunContext
from pgsnow.sync.table.deferred_load import has_lost_rows, note_loaded

GONE = "its target does not have what was loaded before: everything is read again"


def load_runs_together(
    runs: Sequence[RunContext], row: ConsistentTick, most: int
) -> Mapping[str, PgsnowError | str | None]:
    """Load what these runs' tables have staged in one transaction, and record that it is loaded.

    Returns for each table why it was left out: it keeps its staged batches, and is loaded by a run of its own
    (`load_waiting`), which also finds out whether its rows must be read again. None: it is loaded, or has nothing
    staged. row, most: as in Destination.load_together. Raises an error that concerns no single table; then nothing is
    loaded.
    """
    outcomes: dict[str, PgsnowError | str | None] = {run.claim.table: None for run in runs}
    ready = []
    for run in runs:
        if run.claim.staged and (why := _prepared(run)) is not None:
            outcomes[run.claim.table] = why
        elif run.claim.staged:
            ready.append(run)
    if not ready:
        return outcomes
    left = {**row.left_out, **{table: str(why) for table, why in outcomes.items() if why is not None}}
    parts = [
        (run.destination, in_loads(run.claim.staged, run.plan.config.max_rows_per_load)) for run in ready
    ]
    loaded = ready[0].destination.load_together(parts, replace(row, left_out=left), most)
    for run, (_, groups) in zip(ready, parts, strict=True):
        outcomes[run.claim.table] = loaded[run.claim.table]
        if loaded[run.claim.table] is None:
            first = next_batch(run.claim.staged, run.claim.fence) + len(groups)
            note_loaded(run, run.claim.staged, first)
    return outcomes


def _prepared(run: RunContext) -> PgsnowError | str | None:
    """Make sure that the target is as it was; why it cannot be loaded now, or None. DDL cannot be sent later."""
    try:
        run.destination.prepare(guarded=True)
        if any(batch.kept is not None for batch in run.claim.staged) and not has_lost_rows(run):
            from pgsnow.sync.table.changes.kept import upload_kept  # rare

            upload_kept(run)
    except PgsnowError as error:
        return error
    return GONE if has_lost_rows(run) else None
