"""The steps of a table's run that concern the changes that were read from the log for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgsnow.model.errors import LogUnusable, StagedRowsLost
from pgsnow.sync.table.context import RunContext
from pgsnow.sync.table.deferred_load import load_waiting, loads_now, read_again
from pgsnow.sync.table.load_schedule import is_much

if TYPE_CHECKING:
    from pgsnow.sync.stream.log_tick import TableLog


def stage_early(run: RunContext, log: TableLog) -> bool:
    """Stage the changes that were read from the log before anything else is sent, because with a bucket that succeeds
    while Snowflake cannot be reached, and frees the slot. False: that was not done."""
    if run.restarted:  # the ledger may have been restored, which the newest fence shows
        return False
    from pgsnow.sync.table.streaming.changes import stage_log  # with `mode: log`

    stage_log(run, log)
    return True


def follow_log(run: RunContext, log: TableLog, *, staged: bool) -> bool:
    """Load the changes that were read from the log, if that is due. staged: they are staged already. False: deleted
    rows must be searched for as well, as those of a partition that was truncated, which needs a read of the table
    itself. Raises LogUnusable if the table must be read otherwise: what was staged is discarded then."""
    from pgsnow.sync.table.streaming.changes import LOST, stage_log  # with `mode: log`

    if not staged:
        stage_log(run, log)
    due = loads_now(run) or is_much(run.plan.config, run.claim.staged) or run.table.sweep is not None
    if due and load_waiting(run) is not None:
        raise LogUnusable(f"{run.claim.table}: {LOST}")
    if any(batch.kept is not None for batch in run.claim.staged):  # they need not wait to be uploaded
        from pgsnow.sync.table.changes.kept import upload_kept  # rare

        try:
            upload_kept(run)
        except StagedRowsLost as lost:
            read_again(run, str(lost))
            raise LogUnusable(f"{run.claim.table}: {LOST}") from lost
    if run.table.sweep is not None:
        run.destination.batches.cleanup()  # the rows that are read next use the same batch names
        return False
    return True
