"""Whether the units of a full read go straight into the target, what of them is known to be there, and their going."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from pgsnow.model.batch import LoadBatch, LoadResult
from pgsnow.model.errors import TargetQueryFailed
from pgsnow.snowflake.load.direct_copy import (
    Try,
    can_go_straight,
    delete_attempts,
    is_without_older,
    load_straight,
)
from pgsnow.snowflake.session import Session
from pgsnow.sync.load.context import LoadContext
from pgsnow.sync.load.open_batches import OpenBatches
from pgsnow.sync.load.session import RunSession
from pgsnow.sync.load.shadow_table import ShadowTable
from pgsnow.sync.load.target import Target


class DirectCopy:
    """Of one attempt: a first load, or one at a chunk. Undecided until there is a unit."""

    def __init__(
        self,
        delivery: LoadContext,
        session: RunSession,
        open_batches: OpenBatches,
        target: Target,
        beside: ShadowTable,
        not_after: int | None,
        earlier: Sequence[int],
    ) -> None:
        """not_after: a row of that fence, or of one before it, is of another time than this read (None: any row is).
        earlier: the fences of attempts at the same rows."""
        self._delivery = delivery
        self._session = session
        self._open_batches = open_batches
        self._target = target
        self._beside = beside
        self._into = beside.into
        self._not_after = not_after
        self._earlier = tuple(earlier)
        self._decided: bool | None = None if can_go_straight(delivery.plan) else False
        self._before: int | None = 0
        """Rows that the units before have put there under the attempt's fence; None: not known."""
        self.batches: set[str] = set()
        """Those that have no staging table."""
        self.declined = False
        """The target has rows of another time, and was merged into."""

    def load(self, unit: LoadBatch) -> LoadResult | None:
        """None: the unit is to be merged, and so are those after it."""
        origin = self._delivery.staging.origin(self._delivery.plan.target, unit.batch)
        if self._decided is False or origin is None or self._delivery.method(unit) != "stage":
            return None
        tries = count()
        try:
            return self._session.do(lambda session: self._try(session, unit, origin, again=next(tries) > 0))
        except TargetQueryFailed as refused:
            # A refused statement has done nothing. What COPY does not take, MERGE may, and it looks at the target anew.
            self._delivery.progress.events.append(f"{unit.batch} is merged: {refused}")
            self._decided = False
            self.batches.discard(unit.batch)
            return None

    def loaded(self, unit: LoadBatch, result: LoadResult) -> None:
        """A row that was merged may have come in place of another attempt's."""
        if self._before is not None:
            self._before = self._before + unit.rows if result.inserted == unit.rows else None

    def _try(self, session: Session, unit: LoadBatch, origin: str, *, again: bool) -> LoadResult | None:
        if not self._beside.in_use:
            self._target.fit(session)
        if not self._decide(session):
            return None
        self.batches.add(unit.batch)
        return load_straight(
            session,
            self._delivery.plan,
            self._into,
            unit,
            Try(again, self._before),
            audited=self._delivery.content.audited,
            staging=self._delivery.staging,
            origin=origin,
            holds=lambda: self._open_batches.hold(unit.batch),
            notify=self._delivery.notify,
        )

    def _decide(self, session: Session) -> bool:
        """Look at the target, once; what earlier attempts have left there is gone after it. Idempotent."""
        if self._decided is None:
            if is_without_older(session, self._into, self._not_after):
                delete_attempts(session, self._into, self._earlier)
                self._decided = True
            else:
                self._decided, self.declined = False, True
        return self._decided
