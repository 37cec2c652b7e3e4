"""What waits in the stage for one table: put there now, and by a later tick loaded, or given up and read again."""

from __future__ import annotations

from contextlib import suppress

from pgsnow.ledger.claim import Claim
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.batch import LoadBatch
from pgsnow.model.checkpoint import Checkpoint
from pgsnow.model.config.sync_config import LoadMethod
from pgsnow.model.deferred_batch import Layout, StagedBatch, in_loads
from pgsnow.model.errors import ConfigError, StagedRowsLost
from pgsnow.model.evolution.drift import SourceDefinition
from pgsnow.model.plan import TablePlan
from pgsnow.snowflake.load.deferred import load_staged
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.sql import statements as sql
from pgsnow.snowflake.stage.choose import Stages
from pgsnow.snowflake.stage.s3_stage import S3Stage
from pgsnow.snowflake.stage.stage import Stage
from pgsnow.sync.load.destination import Destination
from pgsnow.sync.pipeline.load_batches import batch_name
from pgsnow.sync.runtime.recorder import Recorder


class Staged:
    """Of one run. The ledger knows of a batch before anything of it is anywhere, as of any other; then that it waits;
    and when it is loaded or given up it is one to be swept."""

    def __init__(
        self,
        plan: TablePlan,
        ledger: Ledger,
        claim: Claim,
        destination: Destination,
        progress: Recorder,
        stagings: Stages,
    ) -> None:
        self._plan = plan
        self._ledger = ledger
        self._claim = claim
        self._destination = destination
        self._progress = progress
        self._stagings = stagings
        self._put: list[StagedBatch] = []
        self._read = claim.checkpoint
        self.waiting = list(claim.staged)
        self.back_at: Checkpoint | None = None
        """Where the reading is after what waited was given up."""

    @property
    def first_row(self) -> int:
        """What rows that are staged next are counted from: above all that wait."""
        return max((batch.first_row + batch.rows for batch in (*self.waiting, *self._put)), default=0)

    @property
    def first_batch(self) -> int:
        """A number that no batch of this run which waits has, nor one above it."""
        ours = f"/{self._claim.fence}-"
        taken = (b.batch.rpartition(ours) for b in (*self.waiting, *self._put))
        return max((int(number) + 1 for _, found, number in taken if found), default=0)

    def put(self, unit: LoadBatch) -> None:
        """The unit's files into the stage. Through a bucket, Snowflake is not spoken to. Idempotent."""
        plan, method = self._plan, self._plan.config.load
        staging = self._stagings.serving(method)
        parts, ahead = [part.path for part in unit.parts], self._destination.put_ahead
        self._destination.batches.begin(unit.batch)

        def send(session: Session) -> None:
            staging.put(session, plan.target, unit.batch, ahead.rest(unit.batch, parts))

        with self._progress.timed("put"):
            if isinstance(staging, S3Stage):
                self._destination.session.retried(
                    lambda: staging.upload(unit.batch, ahead.rest(unit.batch, parts))
                )
            else:
                self._destination.target.or_anew(send)
        self._progress.tell("put")
        self._progress.bytes_staged += unit.size
        place = LoadMethod.S3 if method is LoadMethod.S3 else LoadMethod.STAGE
        layout = Layout.of(plan)
        self._put.append(
            StagedBatch(unit.batch, unit.fence, unit.rows, unit.size, unit.first_row, str(place), layout)
        )

    def keep(self, checkpoint: Checkpoint, source: SourceDefinition | None) -> bool:
        """What was put waits from now on, and the reading is at `checkpoint`. False: nothing was put."""
        self._read = checkpoint
        if not self._put:
            return False
        with self._progress.timed("checkpoint"):
            self._ledger.deferred_loads.stage(self._claim, self._put, checkpoint, source)
        self._destination.batches.wait([batch.batch for batch in self._put])
        self.waiting += self._put
        self._put = []
        self._progress.tell("staged")
        return True

    def load(self, most: int) -> None:
        """All that waits into the target, by as few MERGEs as `most` rows in one allow. Idempotent.

        Raises StagedRowsLost, TargetQueryFailed, StagingRefused, if it cannot be: see `give_up`."""
        rows, number = sum(batch.rows for batch in self.waiting), self.first_batch
        for at, batches in enumerate(in_loads(self.waiting, most)):
            self._load(batches, batch_name(self._plan, self._claim.fence, number + at))
        with self._progress.timed("checkpoint"):
            self._ledger.deferred_loads.loaded(self._claim)
        self._progress.last_watermark = self._read.last_watermark if self._read else None
        self._progress.tell("checkpointed")
        self._progress.events.append(f"loaded {_told(rows, len(self.waiting))}")
        self._leave()

    def give_up(self, why: str) -> Checkpoint | None:
        """Nothing of what waits is loaded: the reading goes back to where the loading is, which is returned."""
        rows = sum(batch.rows for batch in self.waiting)
        self.back_at = self._ledger.deferred_loads.discard(self._claim)
        self._progress.events.append(f"{_told(rows, len(self.waiting))} are read again: {why}")
        self._leave()
        return self.back_at

    def forgotten(self) -> None:
        """The ledger has dropped the checkpoint, and what waited with it."""
        self._leave()

    def _load(self, batches: list[StagedBatch], into: str) -> None:
        found = [(batch, self._place_of(batch)) for batch in batches]
        audited = sql.audit(self._claim.run_id) if self._plan.config.audit_columns else ()
        self._destination.batches.begin(into)
        result = self._destination.session.do(
            lambda session: load_staged(session, into, found, audited=audited, notify=self._progress.tell)
        )
        self._progress.load_units += 1
        self._progress.applied(result)

    def _place_of(self, batch: StagedBatch) -> Stage:
        if batch.layout.target != self._plan.target:
            raise StagedRowsLost(f"{batch.batch} was staged for another target, {batch.layout.target}")
        with suppress(ConfigError):
            return self._stagings.serving(LoadMethod(batch.place))
        raise StagedRowsLost(f"{batch.batch} was staged in a bucket, and none is configured")

    def _leave(self) -> None:
        """Nothing waits any more; its files are swept at once, so that no later batch finds them."""
        self._destination.batches.take_over([batch.batch for batch in self.waiting])
        self.waiting = []
        self._destination.batches.sweep()


def _told(rows: int, batches: int) -> str:
    return f"{rows} staged row{'s' * (rows != 1)} of {batches} batch{'es' * (batches != 1)}"
