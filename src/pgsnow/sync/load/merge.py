"""Loader that merges: each batch goes into a staging table, and from there by one MERGE into the target."""

from __future__ import annotations

from pgsnow.model.batch import LoadBatch, LoadResult
from pgsnow.model.errors import TargetMissing, TargetQueryFailed
from pgsnow.model.table import TargetName
from pgsnow.snowflake.load.merge import merge_steps
from pgsnow.snowflake.session import Session
from pgsnow.sync.load.context import LoadContext
from pgsnow.sync.load.outcome import Complete, Loaded, TargetRecreated


class MergeLoader:
    """See `Loader`. Any rows may come, in any number of versions."""

    def __init__(self, load: LoadContext, shadow: TargetName | None = None) -> None:
        """shadow: the shadow table that takes the rows instead of the target."""
        self._load = load
        self._shadow = shadow

    def load(self, batch: LoadBatch) -> Loaded | TargetRecreated:
        self._load.batches.cleanup(but=(batch.batch,))
        self._load.batches.begin(batch.batch)
        return self.merge(batch)

    def merge(self, batch: LoadBatch) -> Loaded | TargetRecreated:
        """As `load`, for a batch that is begun."""
        load, recreated = self._load, False
        try:
            result = load.session.do(lambda session: self._attempt(session, batch))
        except TargetQueryFailed as refused:
            if self._shadow is not None:
                if isinstance(refused, TargetMissing):
                    load.target.read_all()
                raise
            # The target may have been dropped, or altered by hand, since its columns were remembered.
            recreated = load.target.make_fit(look=True)
            result = load.session.do(lambda session: self._attempt(session, batch))
        load.recorder.loaded(batch, result)
        return TargetRecreated() if recreated else Loaded(result.inserted)

    def finish(self) -> Complete:
        return Complete()

    def _attempt(self, session: Session, batch: LoadBatch) -> LoadResult:
        load, plan = self._load, self._load.plan
        steps = merge_steps(
            plan.target, plan.output, plan.key, batch,
            method=load.method(batch.rows, batch.size), audited=load.content.audited, stage=load.stage,
            parts=load.missing_parts(batch), into=self._shadow,
        )  # fmt: skip
        return load.run(session, steps)
