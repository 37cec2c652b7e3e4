"""Rows of which neither the log nor the target has all columns: they are read from the source. Imported only for them.

PostgreSQL leaves large values that did not change out of the log (TOAST). The target has them, unless an earlier
version of the row was rejected, or the row had another key, and it is not certain any more which row has it now.
"""

from __future__ import annotations

from contextlib import closing

from pgsnow.model.sentences import counted, were
from pgsnow.postgres.incremental.streaming import take_log_point
from pgsnow.sync.table.context import RunContext
from pgsnow.sync.table.deletes.search import source_key
from pgsnow.sync.table.load_keys import load_keys


def complete_rows(run: RunContext, first_batch: int) -> None:
    """Read the rows that the claimed table has noted, and load them. first_batch: as in LoadBatchWriter. Idempotent.
    Raises what reading and loading raise."""
    keys = [source_key(run.plan, key) for key in run.table.incomplete]
    hidden = run.rejected.confidential
    load_keys(
        run, keys if hidden is None else hidden.find(run.source, run.plan, keys), first_batch=first_batch
    )
    with closing(run.source.connect()) as conn:
        run.table.settled = take_log_point(conn).lsn
    run.table.incomplete.clear()
    run.recorder.events.append(
        f"{counted(len(keys), 'row')} {were(len(keys))} read from the source: the log did not have all columns"
    )
