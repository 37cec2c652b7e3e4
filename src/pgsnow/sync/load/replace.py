"""Loaders for a complete content: it is staged in one table, then replaces the target's content or is appended to
it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count

from pgsnow.model.batch import LoadBatch, LoadResult
from pgsnow.model.deferred_batch import Layout
from pgsnow.model.errors import TargetMissing, TargetQueryFailed
from pgsnow.model.sentences import counted
from pgsnow.snowflake.load.cleanup import newest_fence
from pgsnow.snowflake.load.merge import fill_steps
from pgsnow.snowflake.load.replace import (
    append_steps,
    create_step,
    foreign_columns,
    replace_at_once,
    replace_steps,
    stage_steps,
)
from pgsnow.snowflake.schema.target_table import describe
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.sql.soft_deletes import Gone
from pgsnow.sync.load.context import LoadContext
from pgsnow.sync.load.loader import Complete, Staged


class StagingTableLoader:
    """See `Loader`. Stages all batches of a run in the staging table of the first one."""

    def __init__(self, load: LoadContext) -> None:
        self._load = load
        self._content = load.content()
        self._rows = 0

    def load(self, batch: LoadBatch) -> Staged:
        """Cleans up the files of earlier batches, but keeps the first batch, whose staging table holds the content."""
        load = self._load
        load.batches.cleanup(but=(self._content.batch, batch.batch))
        load.batches.begin(batch.batch)
        attempts = count()
        result = load.session.do(lambda session: self._stage(session, batch, again=next(attempts) > 0))
        self._rows += batch.rows
        load.recorder.loaded(batch, result)
        return Staged()

    def _stage(self, session: Session, batch: LoadBatch, *, again: bool) -> LoadResult:
        load = self._load
        steps = stage_steps(
            self._content, batch,
            method=load.method(batch.rows, batch.size), again=again, stage=load.stage,
            parts=load.missing_parts(batch),
        )  # fmt: skip
        return load.run(session, steps)


class ReplaceLoader(StagingTableLoader):
    """`finish` replaces the target's content with the staged rows in one step (none staged: the target is emptied).
    The rows are read from their files where that is possible: docs/decisions/51-files-are-removed-together.md
    Raises LeaseLost or LedgerOutdated before any change."""

    def __init__(self, load: LoadContext, *, relaxed: bool, other_keys: bool) -> None:
        """relaxed: columns outside the key must accept NULL from now on. other_keys: as in LoadFacts."""
        super().__init__(load)
        self._relaxed, self._other_keys = relaxed, other_keys
        self._read_files: bool | None = None
        """None: unknown until the first batch, before which the target is prepared."""
        self._origins: dict[LoadBatch, str] = {}

    def load(self, batch: LoadBatch) -> Staged:
        load = self._load
        origin = load.origin(batch)
        if self._read_files is None:
            plain = not self._relaxed and load.gone(other_keys=self._other_keys) is Gone.DELETED
            self._read_files = plain and load.target.reads_files
        if not self._read_files or origin is None:
            return super().load(batch)
        load.batches.begin(batch.batch)
        load.batches.leaves(batch.batch, files=True)
        try:
            result = self._upload(batch)
        except TargetMissing:  # the stage was dropped
            load.target.make_fit(inspect=True)
            result = self._upload(batch)
        self._origins[batch] = origin
        load.recorder.loaded(batch, result)
        return Staged()

    def finish(self) -> Complete:
        load = self._load
        result = self._overwrite() if self._origins else None
        if result is None:
            load.batches.begin(self._content.batch)
            result = load.session.do(self._replace)
            if not load.table.created:  # rows of a later run have stayed
                load.table.check_fence(
                    load.session.do(lambda session: newest_fence(session, load.plan.target))
                )
        load.recorder.applied(result)
        load.table.rows = result.inserted
        load.recorder.replaced = True
        load.recorder.events.append(
            f"replaced the content of {load.plan.target}: {counted(result.inserted, 'row')}"
        )
        return Complete(replaced=True)

    def _upload(self, batch: LoadBatch) -> LoadResult:
        load = self._load

        def attempt(session: Session) -> LoadResult:
            return load.run(session, load.stage.put(load.plan.target, batch.batch, load.missing_parts(batch)))

        return load.session.do(attempt)

    def _overwrite(self) -> LoadResult | None:
        """Replace the content from the files. A statement that is refused because the file format is missing, or
        because the target was altered by hand, is repeated once the target is fit again. None: it is refused again, as
        without the right to create a file format, or would be too long, and the files are copied into the staging
        table."""
        load, batches = self._load, list(self._origins)
        if len(batches) > Layout.of(load.plan).most_batches:
            self._copy_staged(batches)
            return None
        steps = replace_at_once(self._content, batches, list(self._origins.values()))
        load.batches.record(self._content.batch)  # raises LeaseLost

        def attempt(session: Session) -> LoadResult:
            load.batches.running(session.number)  # a run that takes over the table cancels it
            return load.run(session, steps)

        try:
            result = load.session.do(attempt)
        except TargetQueryFailed as refused:
            load.check_later(refused)
            load.target.make_fit(inspect=True)
            try:
                result = load.session.do(attempt)
            except TargetQueryFailed as again:
                load.check_later(again)
                if not load.target.refuse_files(again):
                    raise
                self._copy_staged(batches)
                return None
        for batch in batches if not load.session.failed else ():
            load.batches.loaded(batch.batch, batch.size)
        return result

    def _copy_staged(self, batches: Sequence[LoadBatch]) -> None:
        """Fill the staging table from files that are staged already."""
        load, content = self._load, self._content
        load.batches.begin(content.batch)
        steps = [create_step(content)]
        for batch in batches:
            steps += fill_steps(
                load.plan.target, load.plan.output, batch, content.batch,
                method="stage", stage=load.stage, parts=(), hashed=content.hashed,
            )  # fmt: skip
        load.session.do(lambda session: load.run(session, steps))
        self._rows = sum(batch.rows for batch in batches)

    def _replace(self, session: Session) -> LoadResult:
        load, plan = self._load, self._load.plan
        load.target.columns = None  # its own columns must be known for certain
        load.target.fit(session, relaxed=self._relaxed)
        if self._rows == 0:
            load.run(session, [create_step(self._content)])
        foreign = foreign_columns(plan, describe(session, plan.target))
        content = replace(self._content, gone=load.gone(other_keys=self._other_keys))
        load.batches.running(session.number)
        return load.run(session, replace_steps(content, foreign, self._rows))


class AppendLoader(StagingTableLoader):
    """`finish` adds the staged rows that the target does not have yet. Idempotent."""

    def finish(self) -> Complete:
        load = self._load
        if self._rows == 0:
            load.target.make_fit()
            return Complete(replaced=True)
        result = load.session.do(lambda session: load.run(session, append_steps(self._content, self._rows)))
        load.recorder.applied(result)
        return Complete(replaced=True)
