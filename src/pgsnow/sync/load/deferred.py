"""Loader that only stages rows, for a later run to load; and the load of batches staged in this way."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from pgsnow.model.batch import LoadBatch
from pgsnow.model.config.sync_config import LoadMethod
from pgsnow.model.deferred_batch import Layout, StagedBatch, copied_at_once
from pgsnow.model.errors import ConfigError, StagedRowsLost, TargetMissing
from pgsnow.snowflake.load.deferred import deferred_steps
from pgsnow.snowflake.stage.stage import Stage
from pgsnow.sync.load.context import LoadContext
from pgsnow.sync.load.loader import Complete, Deferred, TargetRecreated
from pgsnow.sync.load.session import with_retries


@dataclass(frozen=True, slots=True)
class DeferredLoader:
    """See `Loader`. Uploads the batch's files and keeps them; with a bucket, nothing is sent to Snowflake."""

    context: LoadContext

    def load(self, batch: LoadBatch) -> Deferred | TargetRecreated:
        load = self.context
        load.batches.begin(batch.batch)
        with load.recorder.timed("put"):
            try:
                self._upload(batch)
            except TargetMissing:  # the stage may have been dropped, or the target with it
                if load.target.make_fit(inspect=True):
                    return TargetRecreated()
                self._upload(batch)
        load.recorder.tell("put")
        load.recorder.bytes_staged += batch.size
        plan = load.plan
        place = LoadMethod.S3 if plan.config.load is LoadMethod.S3 else LoadMethod.STAGE
        staged = StagedBatch(
            batch.batch, batch.fence, batch.rows, batch.size, batch.first_row, str(place), Layout.of(plan),
            batch.bounds,
        )  # fmt: skip
        return Deferred(staged)

    def finish(self) -> Complete:
        return Complete()

    def _upload(self, batch: LoadBatch) -> None:
        load = self.context
        with_retries(lambda: load.upload(batch.batch, load.missing_parts(batch)), load.stop)


def load_staged(load: LoadContext, batches: Sequence[StagedBatch], into: str) -> None:
    """Load staged batches of one layout with one MERGE, through the staging table of the batch `into`. Idempotent.
    Raises StagedRowsLost, TargetMissing, StagingRefused if they cannot be loaded, LedgerOutdated."""
    found = [(batch, _stage_of(load, batch)) for batch in batches]
    load.batches.begin(into)
    if copied_at_once(load.plan.config, batches):
        origins = [(batch, stage.origin(batch.layout.target, batch.batch)) for batch, stage in found]
        known = [(batch, origin) for batch, origin in origins if origin is not None]
        if len(known) == len(found):
            from pgsnow.sync.load.insert_only.copy_once import copy_once  # only for tables with insert_only

            load.batches.has_no_table(into)
            copy_once(load, known)
            return
    steps = deferred_steps(into, found, load.audited(marks=True))
    result = load.session.do(lambda session: load.run(session, steps))
    load.recorder.load_units += 1
    load.recorder.applied(result)
    load.check_counts(result, sum(batch.rows for batch in batches))


def next_row(staged: Sequence[StagedBatch]) -> int:
    """The number from which the next staged rows are counted: above those of all staged batches."""
    return max((batch.first_row + batch.rows for batch in staged), default=0)


def next_batch(staged: Sequence[StagedBatch], fence: int) -> int:
    """A batch number above those of all staged batches of this fence."""
    marks = (batch.batch.rpartition(f"/{fence}-") for batch in staged)
    return max((int(number) + 1 for _, found, number in marks if found), default=0)


def _stage_of(load: LoadContext, batch: StagedBatch) -> Stage:
    if batch.layout.target != load.plan.target:
        raise StagedRowsLost(f"{batch.batch} was staged for another target, {batch.layout.target}")
    with suppress(ConfigError):
        return load.stages.serving(LoadMethod(batch.place))
    raise StagedRowsLost(f"{batch.batch} was staged in a bucket, and none is configured")
