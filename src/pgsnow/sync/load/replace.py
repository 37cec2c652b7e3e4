"""A whole content: gathered in one staging table, then put in place of what the target holds, or added to it."""

from __future__ import annotations

from itertools import count

from pgsnow.model.batch import LoadBatch, LoadResult
from pgsnow.snowflake.load.replace import append, begin, gather, replace
from pgsnow.snowflake.session import Session
from pgsnow.sync.load.context import LoadContext
from pgsnow.sync.load.open_batches import OpenBatches
from pgsnow.sync.load.session import RunSession
from pgsnow.sync.load.target import Target


class FullReplace:
    """`gather` each unit, then `replace` or `append` once."""

    def __init__(
        self, delivery: LoadContext, session: RunSession, batches: OpenBatches, target: Target
    ) -> None:
        self._delivery = delivery
        self._session = session
        self._batches = batches
        self._target = target
        self._content = delivery.content
        self._rows = 0

    def gather(self, unit: LoadBatch) -> None:
        """Stage one unit of a content that `replace` or `append` will put in place. Idempotent, in order of reading.

        The files of the units before are swept, but for the first, whose staging table holds the content."""
        self._batches.sweep(self._content.batch, unit.batch)
        self._batches.begin(unit.batch)
        tries = count()
        result = self._session.do(lambda session: self._gather(session, unit, again=next(tries) > 0))
        self._rows += unit.rows
        self._delivery.progress.loaded(unit, result)

    def replace(self, *, relaxed: bool = False) -> None:
        """The target holds what was gathered (nothing, if nothing was), and no other row, all at once.

        relaxed: columns that are not of the key may be NULL from now on. Idempotent. Raises LeaseLost before anything
        is changed if the table is another run's by now.
        """
        self._batches.begin(self._content.batch)
        result = self._session.do(lambda session: self._replace(session, relaxed))
        progress = self._delivery.progress
        progress.applied(result)
        progress.replaced = True
        progress.events.append(
            f"replaced the content of {self._delivery.plan.target}: {result.inserted} rows"
        )

    def append(self) -> None:
        """Rows that were gathered and that the target does not have are added. Idempotent."""
        if self._rows == 0:
            self._target.ensure()
            return
        result = self._session.do(lambda session: append(session, self._content, self._delivery.notify))
        self._delivery.progress.applied(result)

    def _gather(self, session: Session, unit: LoadBatch, *, again: bool) -> LoadResult:
        self._target.fit(session)
        return gather(
            session,
            self._content,
            unit,
            method=self._delivery.method(unit),
            again=again,
            notify=self._delivery.notify,
            staging=self._delivery.staging,
        )

    def _replace(self, session: Session, relaxed: bool) -> LoadResult:
        self._target.doubt()  # what the target's own columns are must be known for certain
        self._target.fit(session, relaxed=relaxed)
        if self._rows == 0:
            begin(session, self._content)
        return replace(session, self._content, self._rows, self._delivery.notify)
