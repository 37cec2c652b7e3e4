"""Removes the target's rows that a full read did not find."""

from __future__ import annotations

from pgsnow.model.errors import DeletesUnconfirmed
from pgsnow.model.sentences import counted
from pgsnow.sync.table.context import RunContext
from pgsnow.sync.table.deletes.guards import check_deletes


def prune(run: RunContext) -> bool:
    """Delete them, and end the doubt about them; False: they stay.

    If rows were rejected, nothing is deleted: the target may have older versions of them, which are better than
    nothing. If a person has not requested it, and so many would be deleted that a person is asked, the run ends with
    that error once its checkpoint has moved."""
    if run.recorder.rows_rejected or (run.backfill and run.backfill.rejected):
        run.recorder.events.append(
            "rows that are gone from the source were kept, because some rows were rejected"
        )
        return False
    fence = run.backfill.fence if run.backfill else run.claim.fence
    if not run.options.deletes:
        try:
            check_deletes(run, *run.destination.older_rows(fence))
        except DeletesUnconfirmed as refused:
            run.counted.append(refused)
            return False
    if deleted := run.destination.prune(fence):
        run.recorder.rows_deleted += deleted
        rows = f"{counted(deleted, 'row')} that {'is' if deleted == 1 else 'are'} gone from the source"
        run.recorder.events.append(
            f"marked as deleted {rows}" if run.plan.marks_deleted else f"deleted {rows}"
        )
    run.table.doubt(None)
    return True
