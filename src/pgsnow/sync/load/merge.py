"""Load units into the target, or into the table beside it: merged, or straight where that is as good."""

from __future__ import annotations

from collections.abc import Sequence

from pgsnow.model.batch import LoadBatch, LoadResult
from pgsnow.model.errors import TargetMissing, TargetQueryFailed
from pgsnow.model.plan import TablePlan
from pgsnow.snowflake.load.direct_copy import (
    can_go_straight,
    delete_attempts,
    delete_overtaken,
    is_without_older,
    keep_one_a_key,
)
from pgsnow.snowflake.load.merge import load, prune
from pgsnow.snowflake.session import Session
from pgsnow.sync.load.context import LoadContext
from pgsnow.sync.load.direct_copy import DirectCopy
from pgsnow.sync.load.open_batches import OpenBatches
from pgsnow.sync.load.session import RunSession
from pgsnow.sync.load.shadow_table import ShadowTable
from pgsnow.sync.load.target import Target


class BatchLoads:
    """One unit after the other."""

    def __init__(
        self,
        delivery: LoadContext,
        session: RunSession,
        batches: OpenBatches,
        target: Target,
        beside: ShadowTable,
    ) -> None:
        self._delivery = delivery
        self._session = session
        self._batches = batches
        self._target = target
        self._beside = beside
        self._straight: DirectCopy | None = None

    def load(self, unit: LoadBatch) -> None:
        """Stage and merge one unit. Idempotent: a unit tried again, here or by a later run, changes nothing more.

        The batch is in the ledger before anything of it is in Snowflake. The unit before is swept first, so that a
        long read does not pile up staging. Files of this one may be there already.
        """
        self._batches.sweep(unit.batch)
        self._batches.begin(unit.batch)
        straight = self._straight
        result = straight.load(unit) if straight is not None else None
        result = result or self._session.retried(lambda: self._attempt(unit))
        if straight is not None:
            straight.loaded(unit, result)
        self._delivery.progress.loaded(unit, result)

    def go_straight(self, *, not_after: int | None = None, earlier: Sequence[int] = ()) -> None:
        """From here on units are rows of a full read, no two of one key in one snapshot: they need no MERGE while the
        target has no row that was written under the fence `not_after` or before it (None: no row at all).

        earlier: the fences of attempts at the same rows; what they have left in the target is deleted first. Ends
        with `settle`.
        """
        self._straight = DirectCopy(
            self._delivery, self._session, self._batches, self._target, self._beside, not_after, earlier
        )
        self._batches.without_table = self._straight.batches

    def settle(self, *, not_after: int | None = None, given_up: Sequence[int] = ()) -> None:
        """All units of a full read are there: each key once, and nothing of the attempts `given_up`. Idempotent.
        To be followed by what has changed since the read began: docs/decisions/23-straight-into-the-empty-target.md"""
        was, self._straight = self._straight, None
        if not_after is None and was is not None and was.declined:
            not_after = self._delivery.claim.fence - 1
        elif not_after is None and (was is None or not was.batches):
            return
        events = self._session.do(lambda session: self._settle(session, not_after, given_up))
        self._delivery.progress.events.extend(events)

    def prune(self, fence: int) -> int:
        """After a full read: delete the target's rows that no run from this fence on has written. Returns how many."""
        return self._session.do(lambda session: prune(session, self._delivery.plan.target, fence))

    def _attempt(self, unit: LoadBatch) -> LoadResult:
        try:
            return self._session.once(lambda session: self._merge(session, unit))
        except TargetQueryFailed as refused:
            if self._beside.in_use and isinstance(refused, TargetMissing):
                self._target.read_all()
            if not self._target.looked_at or self._beside.in_use:
                raise
            # What the cache says of the target may be out of date (dropped, altered by hand): look, then try once more.
            self._target.doubt()
            return self._session.once(lambda session: self._merge(session, unit))

    def _merge(self, session: Session, unit: LoadBatch) -> LoadResult:
        if not self._beside.in_use:
            self._target.fit(session)
        delivery, plan = self._delivery, self._delivery.plan
        return load(
            session,
            plan.target,
            plan.output,
            plan.key,
            unit,
            method=delivery.method(unit),
            notify=delivery.notify,
            audited=delivery.content.audited,
            staging=delivery.staging,
            into=self._beside.into,
        )

    def _settle(self, session: Session, not_after: int | None, given_up: Sequence[int]) -> list[str]:
        plan, events = self._delivery.plan, []
        if not_after is not None and not is_without_older(session, plan.target, not_after):
            return _settle_beside_older(session, plan, since=not_after + 1)
        if gone := delete_attempts(session, plan.target, given_up):
            events.append(f"deleted {gone} rows that attempts which were given up had left")
        if gone := keep_one_a_key(session, plan):
            events.append(f"removed {gone} rows that had moved while they were read, and were there twice")
        return events


def _settle_beside_older(session: Session, plan: TablePlan, since: int) -> list[str]:
    """Units were merged into what was there. But a COPY whose worker had to give the table up commits when it does:
    after units went straight in spite of it, or were merged."""
    if not can_go_straight(plan) or not (gone := delete_overtaken(session, plan, since)):
        return []
    return [f"removed {gone} rows that had come late, of a load that was given up"]
