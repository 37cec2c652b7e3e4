"""The table beside the target that a backfill gathers a new content in, until it takes the target's place."""

from __future__ import annotations

from collections.abc import Sequence

from pgsnow.model.batch import LoadResult
from pgsnow.model.errors import TargetMissing
from pgsnow.model.table import TargetName
from pgsnow.snowflake.load.shadow_table import beside_of, make_beside, put_in_place
from pgsnow.sync.load.context import LoadContext
from pgsnow.sync.load.open_batches import OpenBatches
from pgsnow.sync.load.session import RunSession
from pgsnow.sync.load.target import Target


class ShadowTable:
    """Named after a batch, as a staging table is, and swept as one."""

    def __init__(
        self, delivery: LoadContext, session: RunSession, batches: OpenBatches, target: Target
    ) -> None:
        self._delivery = delivery
        self._session = session
        self._batches = batches
        self._target = target
        self._batch: str | None = None

    @property
    def in_use(self) -> bool:
        """Do units go there, and not into the target?"""
        return self._batch is not None

    @property
    def into(self) -> TargetName:
        """Where units go."""
        target = self._delivery.plan.target
        return beside_of(target, self._batch) if self._batch else target

    def gather(self, fence: int, *, make: bool = False) -> None:
        """From here on units go into the table of the backfill with this fence. make: which has none yet; the ledger
        knows of it before it is there. Ends with `put_in_place`."""
        batch = self._delivery.batch(fence)
        self._batch = self._batches.kept = batch
        if make:
            self._batches.begin(batch)
            self._session.do(lambda session: make_beside(session, self._delivery.content, batch))

    def keep(self, fence: int | None) -> None:
        """The table of the backfill with this fence is not to be swept; None: whichever it is."""
        self._batches.kept = None if fence is None else self._delivery.batch(fence)

    def put_in_place(self, given_up: Sequence[int]) -> None:
        """The target holds what was gathered beside it, and no other row, all at once; nothing of the attempts
        `given_up`. Idempotent until the table beside is swept, which it may be from the next checkpoint on. Raises
        LeaseLost before anything is changed if the table is another run's by now."""
        batch, self._batch = self._batch or "", None
        self._batches.hold(batch)
        content, progress = self._delivery.content, self._delivery.progress
        try:
            result = self._session.do(
                lambda session: put_in_place(session, content, batch, given_up, self._delivery.notify)
            )
        except TargetMissing:
            self._target.read_all()
            raise
        progress.applied(LoadResult(query_ids=result.query_ids, seconds=result.seconds))
        progress.replaced = True
        progress.events.append(
            f"replaced the content of {self._delivery.plan.target}: {result.inserted} rows"
        )
