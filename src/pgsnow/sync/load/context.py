"""The parts of one run's destination that all its loaders share."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pgsnow.model.batch import LoadBatch, LoadResult
from pgsnow.model.config.options import Deletes
from pgsnow.model.config.sync_config import LoadMethod
from pgsnow.model.errors import LeaseLost, TargetQueryFailed
from pgsnow.model.metadata_columns import DELETED_AT, DELETED_AT_COLUMN
from pgsnow.model.plan import TablePlan
from pgsnow.snowflake.load.cleanup import newest_fence
from pgsnow.snowflake.load.merge import Method, choose_method
from pgsnow.snowflake.load.replace import Content
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.sql.deletes import RowRemoval
from pgsnow.snowflake.sql.soft_deletes import CLEARED, Gone, gone_rows, removal_of
from pgsnow.snowflake.sql.staged import ExpectedTarget, later_fence
from pgsnow.snowflake.sql.statements import Filled, audit
from pgsnow.snowflake.stage.s3_stage import S3Stage
from pgsnow.snowflake.stage.stage import Stage, Stages
from pgsnow.snowflake.statement import Step, execute, execute_all, result_of
from pgsnow.sync.load.claimed_table import ClaimedTable
from pgsnow.sync.load.open_batches import OpenBatches
from pgsnow.sync.load.session import RunSession
from pgsnow.sync.load.target import Target
from pgsnow.sync.pipeline.load_batches import batch_name
from pgsnow.sync.runtime.recorder import Recorder


@dataclass(frozen=True, slots=True)
class LoadContext:
    """One run's session, target, stage and open batches. uploaded: files that are already in the stage."""

    plan: TablePlan
    table: ClaimedTable
    recorder: Recorder
    stop: threading.Event
    session: RunSession
    batches: OpenBatches
    target: Target
    stages: Stages
    stage: Stage
    uploaded: dict[str, frozenset[Path]] = field(default_factory=dict)

    def audited(self, *, marks: bool = False) -> tuple[Filled, ...]:
        """The audit columns, if the target has them, with their values. marks: the mark of deleted rows, too, if the
        target has it, which a row that is merged loses."""
        audited = audit(self.table.claim.run_id) if self.plan.config.audit_columns else ()
        marked = marks and (
            DELETED_AT_COLUMN in (self.target.columns or ()) or DELETED_AT in self.plan.metadata_columns
        )
        return (*audited, CLEARED) if marked else audited

    def content(self, gone: Gone = Gone.DELETED) -> Content:
        """The content of a run that stages all its rows in one table."""
        claim = self.table.claim
        return Content(self.plan, batch_name(self.plan, claim.fence, 0), claim.fence, claim.run_id, gone)

    def gone(self, *, other_keys: bool = False) -> Gone:
        """See gone_rows."""
        created = self.table.claim.created_target
        return gone_rows(self.plan, created, self.target.columns, other_keys=other_keys)

    @property
    def removal(self) -> RowRemoval:
        """How rows that the source no longer has are removed from the target, which must be prepared."""
        return removal_of(self.gone(), self.audited())

    @property
    def deletes(self) -> Deletes:
        """Effect of a DELETE in the log on the row in the target."""
        return self.plan.deletes(self.table.claim.created_target).deletes

    def method(self, rows: int, size: int) -> Method:
        """The method for staging this many rows, with part files of `size` bytes. If it is "stage" for some number
        of rows, it is "stage" for any larger number."""
        method = self.plan.config.load
        if method is LoadMethod.AUTO:
            return choose_method(rows, size)
        return "insert" if method is LoadMethod.INSERT else "stage"

    def origin(self, batch: LoadBatch) -> str | None:
        """The batch's folder, from which one statement may read; None: it needs a staging table."""
        by_insert = self.plan.config.load is LoadMethod.INSERT
        return None if by_insert else self.stage.origin(self.plan.target, batch.batch)

    @property
    def expected(self) -> ExpectedTarget | None:
        """The target as a statement must find it; None: its number of rows is not known, or an attempt has failed and
        may have added some, or other runs add rows meanwhile (those of chunks), or statements do not see all rows."""
        notes, rows = self.target.notes, None if self.table.claim.chunk is not None else self.table.rows
        is_doubtful = rows is None or self.session.failed or time.monotonic() < notes.uncounted_until
        return None if is_doubtful or rows is None else ExpectedTarget(rows, notes.fence)

    def missing_parts(self, batch: LoadBatch) -> list[Path]:
        """The batch's files that must be uploaded. Files that were uploaded early are left out on the first call
        only: a later attempt uploads all of them, because the state of the stage is unknown then."""
        uploaded = self.uploaded.pop(batch.batch, frozenset())
        return [part.path for part in batch.parts if part.path not in uploaded]

    def upload(self, batch: str, parts: Sequence[Path], stage: Stage | None = None) -> None:
        """Upload files into the batch's folder, without a retry. With a bucket, Snowflake is not involved. stage: None
        for the run's own."""
        stage = stage or self.stage
        if isinstance(stage, S3Stage):
            for upload in stage.put(self.plan.target, batch, parts):
                upload.send()
            return
        steps = stage.put(self.plan.target, batch, parts)
        self.session.once(lambda session: execute_all(session, steps))

    def check_counts(self, result: LoadResult, rows: int, *, checked: bool = False) -> None:
        """After a MERGE of `rows` rows into the target. It changed fewer if several were versions of one row, or if
        rows of later runs refused them; more if keys are there twice, which are removed and reported then.
        checked: the statement would have failed if the target had rows of later runs.

        Raises LedgerOutdated, as ClaimedTable.check_fence does, and TargetMissing.
        """
        changed = result.inserted + result.updated
        if changed < rows and not checked:
            self.table.check_fence(self.session.do(lambda session: newest_fence(session, self.plan.target)))
        elif changed > rows:
            self.remove_duplicates()

    def check_later(self, refused: TargetQueryFailed) -> None:
        """Raises LedgerOutdated or LeaseLost if a statement was refused because the target has rows of a later run."""
        if (newest := later_fence(str(refused))) is not None:
            self.table.check_fence(newest)
            raise LeaseLost(f"{self.plan.target} has rows of a later run") from refused

    def remove_duplicates(self) -> int:
        """Remove the target's duplicates, and report it; returns how many there were. Raises TargetMissing,
        NotTheOwner."""
        from pgsnow.snowflake.load.duplicates import remove_surplus, removed  # rare

        self.session.do(self.target.look)
        count = self.session.do(lambda session: remove_surplus(session, self.plan))
        if count:
            self.target.note_fence(None)
            self.table.add_rows(None if self.session.failed else -count)
            self.recorder.events.append(removed(count))
        return count

    def run(self, session: Session, steps: Iterable[Step], fence: int | None = None) -> LoadResult:
        """Execute the steps, notify the observer after each phase, and follow the number of rows in the target, and
        their highest fence. fence: the one that rows get which the steps merge into the target; None: they do something
        else. Raises what `execute` raises."""
        phases = []
        known = self.target.note_fence(None)
        for done in execute(session, steps):
            if done.event is not None:
                self.recorder.tell(done.event)
            phases.append(done)
        result, rows = result_of(phases), self.table.rows
        # An attempt that failed may have added rows, too. (For a shadow table, the number is not needed.)
        more = result.inserted - result.deleted
        self.table.rows = None if rows is None or self.session.failed else rows + more
        if fence is not None and not self.session.failed:
            known = None if result.deleted else known
            self.target.note_fence(fence if result.inserted or result.updated else known)
        return result
