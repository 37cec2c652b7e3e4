"""What all parts of one run's end in Snowflake share."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from pgsnow.ledger.claim import Claim
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.batch import LoadBatch
from pgsnow.model.config.sync_config import LoadMethod
from pgsnow.model.plan import TablePlan
from pgsnow.snowflake.load.merge import Method, choose_method
from pgsnow.snowflake.load.replace import Content
from pgsnow.snowflake.stage.choose import Stages
from pgsnow.snowflake.stage.early_upload import RemainingFilesStage, UploadedFiles
from pgsnow.snowflake.stage.stage import Stage
from pgsnow.sync.pipeline.load_batches import batch_name
from pgsnow.sync.runtime.recorder import Recorder


@dataclass(frozen=True, slots=True)
class LoadContext:
    """The rows of one claim, on their way by one plan."""

    plan: TablePlan
    ledger: Ledger
    claim: Claim
    progress: Recorder
    stop: threading.Event
    stagings: Stages
    put_ahead: UploadedFiles = field(default_factory=UploadedFiles)

    @property
    def content(self) -> Content:
        """All that the run reads, where it is put in place as a whole."""
        return Content(self.plan, self.batch(self.claim.fence), self.claim.fence, self.claim.run_id)

    def batch(self, fence: int) -> str:
        """The first batch of a fence: its staging table is the one that a content is gathered in."""
        return batch_name(self.plan, fence, 0)

    @property
    def staging(self) -> Stage:
        """Where files go, unless they are there."""
        return RemainingFilesStage(self.stagings.serving(self.plan.config.load), self.put_ahead)

    def method(self, unit: LoadBatch) -> Method:
        return self.method_of(unit.rows, unit.size)

    def method_of(self, rows: int, size: int) -> Method:
        """For a unit of so many rows and bytes. Once it is "stage" it is so for any larger one."""
        method = self.plan.config.load
        if method is LoadMethod.AUTO:
            return choose_method(rows, size)
        return "insert" if method is LoadMethod.INSERT else "stage"

    def notify(self, phase: str) -> None:
        self.progress.tell(phase)
