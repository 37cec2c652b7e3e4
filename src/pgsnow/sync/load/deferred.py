"""Loader that only stages rows, for a later run to load; and the load of batches staged in this way."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pgsnow.model.batch import LoadBatch, LoadResult
from pgsnow.model.config.sync_config import LoadMethod
from pgsnow.model.deferred_batch import KeptFiles, Layout, StagedBatch
from pgsnow.model.errors import (
    ConfigError,
    StagedRowsLost,
    TargetMissing,
    TargetQueryFailed,
    TargetRowsChanged,
)
from pgsnow.model.plan import TablePlan
from pgsnow.snowflake.load.deferred import deferred_at_once, deferred_steps
from pgsnow.snowflake.session import Session
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
        return Deferred(staged_batch(plan, batch))

    def finish(self) -> Complete:
        return Complete()

    def _upload(self, batch: LoadBatch) -> None:
        load = self.context
        with_retries(lambda: load.upload(batch.batch, load.missing_parts(batch)), load.stop)


def staged_batch(plan: TablePlan, batch: LoadBatch, kept: KeptFiles | None = None) -> StagedBatch:
    """The load batch as the ledger records it. kept: where its files are, if they are not in the stage."""
    place = LoadMethod.S3 if plan.config.load is LoadMethod.S3 else LoadMethod.STAGE
    return StagedBatch(
        batch.batch, batch.fence, batch.rows, batch.size, batch.first_row, str(place), Layout.of(plan),
        batch.bounds, changes=batch.changes, kept=kept,
    )  # fmt: skip


def upload_later(load: LoadContext, batch: StagedBatch, parts: Sequence[Path]) -> None:
    """Upload the files of a staged batch that were kept elsewhere until now. Idempotent. Raises StagedRowsLost if the
    target was dropped with the stage, or is another one."""
    stage = stage_of_batch(load, batch)

    def upload() -> None:
        load.upload(batch.batch, parts, stage)

    with load.recorder.timed("put"):
        try:
            with_retries(upload, load.stop)
        except TargetMissing as missing:
            if load.target.make_fit(inspect=True):
                raise StagedRowsLost(f"{batch.batch}: {missing}") from missing
            with_retries(upload, load.stop)
    load.recorder.tell("put")
    load.recorder.bytes_staged += batch.size


def load_staged(load: LoadContext, batches: Sequence[StagedBatch], into: str, *, copies: bool) -> None:
    """Load staged batches of one layout with one MERGE, straight from their files or through the staging table of the
    batch `into`. copies: they are all that wait, and are copied in one transaction instead, if that is possible.
    Idempotent. Raises StagedRowsLost, TargetMissing, StagingRefused if they cannot be loaded, LedgerOutdated."""
    found = [(batch, stage_of_batch(load, batch)) for batch in batches]
    load.batches.begin(into)
    if copies:
        origins = [(batch, stage.origin(batch.layout.target, batch.batch)) for batch, stage in found]
        known = [(batch, origin) for batch, origin in origins if origin is not None]
        if len(known) == len(found):
            from pgsnow.sync.load.insert_only.copy_once import copy_once  # only for tables with insert_only

            load.batches.leaves(into, files=False)
            if copy_once(load, known):
                note_loaded(load, found)
                return
            load.batches.begin(into)

    result, checked = _load_all(load, found, into)
    load.recorder.load_units += 1
    load.recorder.applied(result)
    note_loaded(load, found)
    load.check_counts(result, sum(batch.rows for batch in batches), checked=checked)


def _load_all(
    load: LoadContext, found: Sequence[tuple[StagedBatch, Stage]], into: str
) -> tuple[LoadResult, bool]:
    """As `_load`, with further attempts: after errors that pass, without a file format, and if the target's rows cannot
    be counted."""

    def attempt() -> tuple[LoadResult, bool]:
        return load.session.do(lambda session: _load(load, session, found, into))

    try:
        return attempt()
    except TargetMissing as missing:  # the file format may be: stages of older versions have none
        if load.target.make_fit(inspect=True):
            raise
        try:
            return attempt()
        except TargetMissing:
            if not load.target.refuse_files(missing):
                raise
            load.batches.begin(into)
            return attempt()
    except TargetRowsChanged as altered:
        if load.target.look_again(altered.counted):
            raise
        return attempt()
    except TargetQueryFailed as refused:
        load.check_later(refused)
        raise


def note_loaded(load: LoadContext, batches: Sequence[tuple[StagedBatch, Stage]]) -> None:
    """The rows are in the target, so the files of these batches may be removed later."""
    load.batches.inherit([batch.batch for batch, _ in batches])
    for batch, stage in batches:
        load.batches.leaves(batch.batch, files=True)
        if not load.session.failed:
            load.batches.loaded(batch.batch, batch.size, location=stage.location(batch.layout.target))


def _load(
    load: LoadContext, session: Session, batches: Sequence[tuple[StagedBatch, Stage]], into: str
) -> tuple[LoadResult, bool]:
    """One attempt. If no guard notices that the target was altered, the run looks at it first. True: the statement
    would have failed if the target had rows of later runs."""
    if any(batch.changes is not None for batch, _ in batches):
        from pgsnow.sync.load.changes.merge import merge_staged  # only for changes

        return merge_staged(load, session, batches, into), True
    audited, target = load.audited(marks=True), load.expected
    places = [(batch, stage.origin(batch.layout.target, batch.batch)) for batch, stage in batches]
    known = [(batch, origin) for batch, origin in places if origin is not None]
    at_once = load.target.reads_files and len(known) == len(places)
    if not at_once or target is None:
        load.target.look(session, loading=sum(batch.rows for batch, _ in batches))
    if not (at_once and load.target.reads_files):  # the file format may have been altered
        return load.run(session, deferred_steps(into, batches, audited)), False
    load.batches.leaves(into, files=False)
    steps = deferred_at_once(known, audited, target=target, not_after=load.table.claim.fence)
    return load.run(session, steps, max(batch.fence for batch, _ in batches)), True


def next_row(staged: Sequence[StagedBatch]) -> int:
    """The number from which the next staged rows are counted: above those of all staged batches."""
    return max((batch.first_row + batch.rows for batch in staged), default=0)


def next_batch(staged: Sequence[StagedBatch], fence: int) -> int:
    """A batch number above those of all staged batches of this fence."""
    marks = (batch.batch.rpartition(f"/{fence}-") for batch in staged)
    return max((int(number) + 1 for _, found, number in marks if found), default=0)


def stage_of_batch(load: LoadContext, batch: StagedBatch) -> Stage:
    if batch.layout.target != load.plan.target:
        raise StagedRowsLost(f"{batch.batch} was staged for another target, {batch.layout.target}")
    with suppress(ConfigError):
        return load.stages.serving(LoadMethod(batch.place))
    raise StagedRowsLost(f"{batch.batch} was staged in a bucket, and none is configured")
