"""The parts of one run's destination that all its loaders share."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pgsnow.model.batch import LoadBatch, LoadResult
from pgsnow.model.config.sync_config import LoadMethod
from pgsnow.model.plan import TablePlan
from pgsnow.snowflake.load.merge import Method, choose_method
from pgsnow.snowflake.load.replace import Content
from pgsnow.snowflake.session import Session
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
    """One run's session, target, stage and open batches. uploaded: files that are in the stage already."""

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

    @property
    def audited(self) -> tuple[Filled, ...]:
        """The audit columns, if the target has them, with their values."""
        return audit(self.table.claim.run_id) if self.plan.config.audit_columns else ()

    @property
    def content(self) -> Content:
        """All rows of the run, where they are staged in one table."""
        claim = self.table.claim
        return Content(self.plan, batch_name(self.plan, claim.fence, 0), claim.fence, claim.run_id)

    def method(self, rows: int, size: int) -> Method:
        """How so many rows, with part files of `size` bytes, are staged. Once it is "stage" it is so for more rows."""
        method = self.plan.config.load
        if method is LoadMethod.AUTO:
            return choose_method(rows, size)
        return "insert" if method is LoadMethod.INSERT else "stage"

    def missing_parts(self, batch: LoadBatch) -> list[Path]:
        """The batch's files that are to be put now. Those in the stage are left out once: another attempt puts all of
        them, for nobody knows what has become of the stage."""
        uploaded = self.uploaded.pop(batch.batch, frozenset())
        return [part.path for part in batch.parts if part.path not in uploaded]

    def upload(self, batch: str, parts: Sequence[Path]) -> None:
        """Upload files into the batch's folder, without a retry; through a bucket, Snowflake has no part in it."""
        stage = self.stage
        if isinstance(stage, S3Stage):
            for upload in stage.put(self.plan.target, batch, parts):
                upload.send()
            return
        steps = stage.put(self.plan.target, batch, parts)
        self.session.once(lambda session: execute_all(session, steps))

    def run(self, session: Session, steps: Iterable[Step]) -> LoadResult:
        """Execute the steps, and tell the observer of each phase once it is done. Raises as `execute`."""
        phases = []
        for done in execute(session, steps):
            if done.event is not None:
                self.recorder.tell(done.event)
            phases.append(done)
        return result_of(phases)
