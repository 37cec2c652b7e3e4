"""Loader that merges: each batch goes into a staging table, and from there by one MERGE into the target."""

from __future__ import annotations

from dataclasses import dataclass

from pgsnow.model.batch import LoadBatch
from pgsnow.model.errors import TargetMissing, TargetQueryFailed
from pgsnow.model.table import TargetName
from pgsnow.snowflake.load.merge import merge_steps
from pgsnow.snowflake.statement import Step
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
        first = [self._steps(batch)]
        try:
            result = load.session.do(
                lambda session: load.run(session, first.pop() if first else self._steps(batch))
            )
        except TargetQueryFailed as refused:
            if self.shadow is not None:
                if isinstance(refused, TargetMissing):
                    load.target.check_shadow(self.shadow)
                raise
            # The target or the stage may have been dropped, or altered by hand, since its columns were cached. If
            # neither is the case, the same statements would be refused again.
            before = load.target.columns
            recreated = load.target.make_fit(inspect=True)
            if not recreated and load.target.columns == before and not isinstance(refused, TargetMissing):
                load.target.forget_columns()
                raise
            result = load.session.do(lambda session: load.run(session, self._steps(batch)))
        load.recorder.loaded(batch, result)
        if self.shadow is None:
            load.check_counts(result, batch.rows)
        return TargetRecreated() if recreated else Loaded(result.inserted)

    def finish(self) -> Complete:
        return Complete()

    def _steps(self, batch: LoadBatch) -> tuple[Step, ...]:
        """The first attempt leaves out files that are already in the stage; later attempts upload all files."""
        load, plan = self.context, self.context.plan
        return merge_steps(
            plan.target, plan.output, plan.key, batch,
            method=load.method(batch.rows, batch.size), audited=load.audited(marks=self.shadow is None),
            stage=load.stage, parts=load.missing_parts(batch), into=self.shadow,
        )  # fmt: skip
