"""Loader that merges: each batch goes into the target by one MERGE, straight from its files, from bound values, or
through a staging table."""

from __future__ import annotations

from dataclasses import dataclass

from pgsnow.model.batch import LoadBatch, LoadResult
from pgsnow.model.config.sync_config import LoadMethod
from pgsnow.model.errors import TargetMissing, TargetQueryFailed, TargetRowsChanged
from pgsnow.model.table import JUST_CREATED, TargetName
from pgsnow.snowflake.load.merge import choose_method, merge_at_once, merge_steps
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.statement import GuardedStatement, Step
from pgsnow.sync.load.context import LoadContext
from pgsnow.sync.load.loader import Complete, Loaded, TargetRecreated


@dataclass(frozen=True, slots=True)
class MergeLoader:
    """See `Loader`. Accepts any rows, also several versions of a row. shadow: the shadow table that takes the rows
    instead of the target."""

    context: LoadContext
    shadow: TargetName | None = None

    def load(self, batch: LoadBatch) -> Loaded | TargetRecreated:
        self.context.batches.cleanup(but=(batch.batch,))
        self.context.batches.begin(batch.batch)
        return self.merge(batch)

    def merge(self, batch: LoadBatch) -> Loaded | TargetRecreated:
        """Like `load`, for a batch that is already recorded as open."""
        load, recreated = self.context, False
        try:
            result = load.session.do(lambda session: self._attempt(session, batch))
        except TargetQueryFailed as refused:
            load.check_later(refused)
            recreated = self._look_again(batch, refused)
            try:
                result = load.session.do(lambda session: self._attempt(session, batch))
            except TargetQueryFailed as again:  # such as a file format that the role may not create
                if not self._refuse_files(batch, again):
                    raise
                result = load.session.do(lambda session: self._attempt(session, batch))
        load.recorder.loaded(batch, result)
        if not load.session.failed:
            load.batches.loaded(batch.batch, batch.size)
        if self.shadow is None:
            load.check_counts(result, batch.rows, checked=batch.changes is not None)
        return TargetRecreated() if recreated else Loaded(result.inserted)

    def finish(self) -> Complete:
        if self.context.table.claim.target.created_on == JUST_CREATED and self.shadow is None:
            self.context.session.do(self.context.target.note_creation)
        return Complete()

    def _attempt(self, session: Session, batch: LoadBatch) -> LoadResult:
        """The first attempt leaves out files that are already in the stage; later attempts upload all files. If no
        guard of the statement notices that the target was altered, the run looks at it first."""
        if batch.changes is not None:
            from pgsnow.sync.load.changes.merge import merge_batch  # only for changes

            return merge_batch(self.context, session, batch)
        load, steps = self.context, self._steps(batch)
        if not isinstance(steps[-1], GuardedStatement) or load.expected is None:
            load.target.look(session, loading=batch.rows)
            if (
                isinstance(steps[-1], GuardedStatement) and not load.target.reads_files
            ):  # the file format was altered
                load.batches.begin(batch.batch)
                steps = self._steps(batch)
        return load.run(session, steps, batch.fence if self.shadow is None else None)

    def _steps(self, batch: LoadBatch) -> tuple[Step, ...]:
        load, plan = self.context, self.context.plan
        expected, audited = load.expected, load.audited(marks=self.shadow is None)
        if self.shadow is None and load.target.reads_files:
            # A late MERGE of a killed run finds no file; with bound values, the number of the target's rows stops it.
            few = expected is not None and choose_method(batch.rows, batch.size) == "insert"
            few = few and plan.config.load in (LoadMethod.AUTO, LoadMethod.INSERT)
            origin = None if few else load.origin(batch)
            if few or origin is not None:
                load.batches.leaves(batch.batch, files=not few)
                return merge_at_once(
                    plan.target, plan.output, plan.key, batch,
                    origin=origin, audited=audited, stage=load.stage,
                    parts=None if few else load.missing_parts(batch), expected=expected,
                )  # fmt: skip
        return merge_steps(
            plan.target, plan.output, plan.key, batch,
            method=load.method(batch.rows, batch.size), audited=audited,
            stage=load.stage, parts=load.missing_parts(batch), into=self.shadow,
        )  # fmt: skip

    def _look_again(self, batch: LoadBatch, refused: TargetQueryFailed) -> bool:
        """After Snowflake has refused the batch: True if the target does not have what was loaded before. Raises the
        error if the same statements would be refused again."""
        load = self.context
        if self.shadow is not None:
            if isinstance(refused, TargetMissing):
                load.target.check_shadow(self.shadow)
            raise refused
        if isinstance(refused, TargetRowsChanged):
            return load.target.look_again(refused.counted)
        # The target or the stage may have been dropped, or altered by hand, since its columns were cached.
        before = load.target.columns
        if load.target.make_fit(inspect=True):
            return True
        same = load.target.columns == before and not isinstance(refused, TargetMissing)
        if same and not self._refuse_files(batch, refused):
            load.target.forget_columns()
            raise refused
        return False

    def _refuse_files(self, batch: LoadBatch, why: TargetQueryFailed) -> bool:
        """Load this batch and the next ones through staging tables; False: they are loaded so already."""
        load = self.context
        if not load.target.refuse_files(why):
            return False
        load.batches.begin(batch.batch)
        return True
