"""Loader of a backfill into a shadow table, which then replaces the target's content."""

from __future__ import annotations

from pgsnow.model.batch import LoadBatch, LoadResult
from pgsnow.model.errors import TargetMissing
from pgsnow.model.sentences import counted
from pgsnow.snowflake.load.direct_copy import delete_attempts
from pgsnow.snowflake.load.replace import foreign_columns
from pgsnow.snowflake.load.shadow_table import put_in_place, shadow_table
from pgsnow.snowflake.schema.target_table import describe
from pgsnow.snowflake.session import Session
from pgsnow.sync.load.context import LoadContext
from pgsnow.sync.load.direct_copy import Attempts, DirectCopyLoader
from pgsnow.sync.load.loader import Complete, Loaded, TargetRecreated


class ShadowTableLoader:
    """See `Loader`. `load` loads a batch of a chunk; `finish` completes the backfill once all chunks are loaded.
    The shadow table is named after a batch and cleaned up like a staging table."""

    def __init__(self, load: LoadContext, batch: str, attempts: Attempts, *, other_keys: bool) -> None:
        """batch: the first batch of the backfill's fence. other_keys: as in LoadFacts."""
        self._load = load
        self._batch = batch
        self._attempts = attempts
        self._other_keys = other_keys
        self._shadow = shadow_table(load.plan.target, batch)
        self._direct = DirectCopyLoader(load, attempts, self._shadow)

    def load(self, batch: LoadBatch) -> Loaded | TargetRecreated:
        return self._direct.load(batch)

    def finish(self) -> Complete:
        """Replace the target's content with the shadow table's rows in one step. Idempotent until the shadow table
        is cleaned up, which is allowed after the next checkpoint. Raises LeaseLost before any change."""
        load = self._load
        load.batches.record(self._batch)
        try:
            result = load.session.do(self._put_in_place)
        except TargetMissing:
            load.target.check_shadow(self._shadow)
            raise
        load.table.rows = result.inserted
        load.recorder.applied(LoadResult(query_ids=result.query_ids, seconds=result.seconds))
        load.recorder.replaced = True
        load.recorder.events.append(
            f"replaced the content of {load.plan.target}: {counted(result.inserted, 'row')}"
        )
        return Complete(replaced=True)

    def _put_in_place(self, session: Session) -> LoadResult:
        plan = self._load.plan
        delete_attempts(session, self._shadow, self._attempts.given_up)
        foreign = foreign_columns(plan, describe(session, plan.target))
        content = self._load.content(self._load.gone(other_keys=self._other_keys))
        return self._load.run(session, put_in_place(content, self._batch, foreign))
